//! How fast runs are verified, beside the floor: what the signature checks and hashes of the same
//! bytes take alone; and how much memory it takes, for short runs and long ones. Each measurement is a
//! process of its own. `cargo bench -p nanohost-verify`.

mod long_run;

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nanohost_core::dsse::Unverified;
use nanohost_core::export::{ExportReader, Part};
use nanohost_core::trace::Keep;
use nanohost_core::{Digest, KeyTrust, TrustRoot};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[expect(clippy::print_stdout, reason = "the measurement is what is asked for")]
fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [what, file] = &words[..]
        && ["verify", "floor"].contains(&what.as_str())
    {
        let began = Instant::now();
        let envelopes = if what == "verify" { verify(file.as_ref())? } else { floor(file.as_ref())? };
        let micros = began.elapsed().as_secs_f64() * 1e6 / envelopes as f64;
        println!("{micros} {}", peak_kib().unwrap_or(0));
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    println!("{:>10} {:>16} {:>16} {:>8} {:>12}", "envelopes", "verify", "floor", "ratio", "peak memory");
    for envelopes in [1_000, 10_000, 100_000] {
        let path = folder.path().join(format!("{envelopes}.jsonl"));
        let mut file = BufWriter::new(File::create(&path)?);
        long_run::write(&mut file, envelopes)?;
        file.flush()?;
        // The least of a few: a busy machine only ever adds.
        let mut least = [(f64::MAX, 0u64); 2];
        for _ in 0..3 {
            for (least, what) in least.iter_mut().zip(["verify", "floor"]) {
                let took = measured(what, &path)?;
                *least = if took.0 < least.0 { took } else { *least };
            }
        }
        let [(verify, peak), (floor, _)] = least;
        println!(
            "{envelopes:>10} {:>13.0}/s {:>13.0}/s {:>8.2} {:>8} KiB",
            1e6 / verify,
            1e6 / floor,
            verify / floor,
            peak
        );
    }
    Ok(())
}

fn measured(what: &str, path: &Path) -> Result<(f64, u64)> {
    let done = Command::new(std::env::current_exe()?).arg(what).arg(path).output()?;
    let told = String::from_utf8(done.stdout)?;
    let (micros, peak) = told.trim().split_once(' ').ok_or("nothing was measured")?;
    Ok((micros.parse()?, peak.parse()?))
}

fn verify(path: &Path) -> Result<u64> {
    let trust = TrustRoot::new([long_run::signer().public().clone()]);
    let judged = nanohost_verify::judge(path, &KeyTrust::keys(&trust), Keep::Verdict, None, |_| None)?;
    if !judged.report.is_good() {
        return Err(format!("{:?}", judged.report.fault).into());
    }
    Ok(judged.reach.envelopes)
}

/// What nobody can do without: reading, one signature check and one hash of each envelope.
fn floor(path: &Path) -> Result<u64> {
    let key = long_run::signer().public().clone();
    let mut reader = ExportReader::new(BufReader::new(File::open(path)?))?;
    let mut envelopes = 0;
    while let Some(part) = reader.next()? {
        if let Part::Envelope(bytes) = part {
            Unverified::parse(bytes)?.verify(&key)?;
            std::hint::black_box(Digest::of(bytes));
            envelopes += 1;
        }
    }
    Ok(envelopes)
}

/// The most memory that this process ever held, where Linux says so.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
