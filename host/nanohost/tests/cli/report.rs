//! The page for a person who audits, as a browser shows it: what it says, that nothing runs and
//! nothing is loaded whatever a value says, and that it prints.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::Home;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A browser without a window, a profile of its own, and nothing that it would ask for by itself.
fn browser(home: &Home, page: &Path, more: &[&str]) -> Output {
    let done = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--disable-component-update", "--no-first-run"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000"])
        .arg(format!("--user-data-dir={}", text(&home.path("browser"))))
        .args(more)
        .arg(format!("file://{}", text(page)))
        .output()
        .expect("Chromium is installed (Debian: `apt-get install chromium`)");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done
}

/// What the page is once it was read, and what the browser said about it.
fn read(home: &Home, page: &Path) -> (String, Vec<String>) {
    let done = browser(home, page, &["--dump-dom"]);
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    (String::from_utf8(done.stdout).expect("UTF-8"), said)
}

fn report(home: &Home, evidence: &str, exit: i32, more: &[&str]) -> PathBuf {
    let path = home.path(format!("{}.html", evidence.replace(['/', '.'], "_")));
    home.nanohost([&["report", evidence, "-o", text(&path)], more].concat()).exits(exit);
    path
}

/// Wherever the file and the keys lie, and whatever the machine is called: the same page.
#[test]
fn the_page_is_a_function_of_the_evidence() {
    let home = Home::new();
    let run = home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned();
    let (export, trust) = (home.path("run.jsonl"), home.path("trust.pem"));
    home.nanohost(["export", &run, "-o", text(&export), "--disclose", "all"]).exits(0);
    fs::copy(home.public_key(), &trust).expect("it is there");
    let auditor = Home::new();
    let (elsewhere, keys) = (auditor.path("folder/of evidence.jsonl"), auditor.path("some keys"));
    fs::create_dir(auditor.path("folder")).expect("it is writable");
    fs::copy(&export, &elsewhere).expect("it is writable");
    fs::copy(&trust, &keys).expect("it is writable");
    let page = |home: &Home, file: &Path, trust: &Path| {
        let page = home.path("page.html");
        let done = home.nanohost(["report", text(file), "--trust", text(trust), "-o", text(&page), "--json"]);
        (fs::read_to_string(&page).expect("it is written"), done.exits(0).json())
    };
    let (here, there) = (page(&home, &export, &trust), page(&auditor, &elsewhere, &keys));
    assert_eq!(here, there);
    assert!(here.0.contains(&run) && here.0.contains("nanohost verify run.jsonl --trust trust.toml"));
    for path in [text(&home.path("")), text(&auditor.path(""))] {
        let evidence = home.nanohost(["trace", &run, "--json"]).exits(0);
        assert!(!there.0.contains(path) || evidence.stdout.contains(path), "{path}");
    }
}

/// A run in which a person decided, and one tool was refused before.
#[test]
fn the_page_says_first_what_it_comes_to_and_then_what_happened() {
    let home = Home::new();
    let examples = home.examples();
    let run = examples.run_json("approval/program.toml", 4, &["--as", "agent"])["run"].clone();
    let run = run.as_str().expect("an id");
    let event = examples.path("approval/approved.json");
    home.nanohost(["resume", run, "--as", "agent", "--event", text(&event)]).exits(3);
    let token = home.nanohost(["token", run, "--as", "dana"]).exits(0).stdout;
    home.nanohost(["resume", run, "--as", "dana", "--token", token.trim(), "--event", text(&event)]).exits(0);

    let (dom, said) = read(&home, &report(&home, run, 0, &[]));
    assert_eq!(said, [] as [&str; 0]);
    let mut rest = dom.as_str();
    for part in [
        "verified",
        "checks passed",
        "<h2>Checks</h2>",
        "transitions",
        "<h2>The run</h2>",
        "<h2>Data that left this machine</h2>",
        "<h2>Who decided</h2>",
        "agent: refused",
        "dana: resumed:",
        "Was shown",
        "<h2>Models that were asked</h2>",
        "<h2>Erased</h2>",
        "<h2>Timeline</h2>",
        "⊘ refused",
        "<h2>What this does not prove</h2>",
        "development key",
        "<h2>Verify again</h2>",
        "nanohost verify",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} comes in its place: {rest}"));
        rest = &rest[at..];
    }
    for nothing in ["<script", "<img", "<link", "<iframe", " src=", " href=", " onload="] {
        assert!(!dom.contains(nothing), "{nothing} stands in the page");
    }
    // The same evidence gives the same page.
    let page = fs::read(home.path(format!("{run}.html"))).expect("it was written");
    let again = home.path("again.html");
    home.nanohost(["report", run, "-o", text(&again)]).exits(0);
    assert_eq!(fs::read(&again).expect("it was written"), page);
    home.nanohost(["report", run, "--json", "-o", text(&again)]).finds(2, "report_unwritable");
    let document = home.nanohost(["report", run, "--json"]).exits(0).json();
    assert_eq!(document["conclusion"]["verdict"], "verified");
    assert_eq!(document["told"]["acts"][1]["principal"], "dana");
    home.nanohost(["report", run]).exits(2).says("--output");
}

/// Whatever stands in a value is shown as text: it neither runs, nor loads, nor hides.
#[test]
fn hostile_values_are_text() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback can be bound");
    listener.set_nonblocking(true).expect("it can");
    let address = listener.local_addr().expect("it has one");
    let hostile = format!(
        "a refund </pre></style></title><script>document.title='owned'</script><img src=http://{address}/x \
         onerror=\"document.title='owned'\"><link rel=stylesheet href=http://{address}/s>\u{202e}desrever\u{200b}\u{1b}[2J{}",
        "long ".repeat(2000)
    );
    let run = home.examples().refund(0, &[&format!("request={hostile}")])["run"].clone();
    let path = report(&home, run.as_str().expect("an id"), 0, &["--reveal"]);
    let (dom, said) = read(&home, &path);
    assert_eq!(said, [] as [&str; 0], "nothing was even tried");
    assert!(dom.contains("&lt;script&gt;document.title='owned'&lt;/script&gt;"), "it is shown");
    for hidden in ["\u{202e}", "\u{200b}", "\u{1b}"] {
        assert!(!dom.contains(hidden), "{hidden:?} stands in the page");
    }
    assert!(dom.contains("\\u{202e}desrever"), "and named");
    assert!(dom.contains("more characters)"), "a long value ends");
    assert!(dom.contains("<title>Audit report: customer_refund</title>") && !dom.contains("<script>"));
    let none = listener.accept().map(drop).expect_err("nobody came");
    assert_eq!(none.kind(), ErrorKind::WouldBlock);
    // The browser would have said so, and come: without the policy and the escaping it does.
    let open = home.path("open.html");
    let page = fs::read_to_string(&path).expect("it was written");
    let with_script = page.replace("<main>", "<main><script>document.title='owned'</script>");
    fs::write(&open, &with_script).expect("it is writable");
    let (dom, said) = read(&home, &open);
    assert!(!dom.contains("<title>owned"), "the policy of the page forbids it");
    assert!(said.iter().any(|line| line.contains("Content Security Policy")), "{said:?}");
    let image = format!("<main><img src=http://{address}/x>");
    let start = page.find("<meta http-equiv").expect("it has a policy");
    let end = start + page[start..].find('>').expect("it ends") + 1;
    fs::write(&open, (page[..start].to_owned() + &page[end..]).replace("<main>", &image))
        .expect("it is writable");
    listener.set_nonblocking(false).expect("it can");
    let came = std::thread::spawn(move || asked_for(&listener));
    read(&home, &open);
    // Where nobody came, somebody has to: the thread waits.
    let _ = TcpStream::connect(address).and_then(|mut stream| stream.write_all(b"nobody"));
    assert!(came.join().expect("it reads"), "without the policy the image is asked for");
}

/// Whether somebody asks for the image, before somebody says that nobody does. Nobody is answered.
fn asked_for(listener: &TcpListener) -> bool {
    listener.incoming().flatten().find_map(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let mut begin = [0; 6];
        stream.read_exact(&mut begin).ok()?;
        match &begin {
            b"GET /x" => Some(true),
            b"nobody" => Some(false),
            _ => None,
        }
    }) == Some(true)
}

/// Bad evidence is reported as what it is, and tells nothing.
#[test]
fn bad_evidence_is_a_page_that_says_so() {
    let home = Home::new();
    let run = home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned();
    let export = home.path("run.jsonl");
    home.nanohost(["export", &run, "-o", text(&export), "--disclose", "all"]).exits(0);
    let bytes = fs::read(&export).expect("it was written");
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&export, &changed).expect("it is writable");
    let page = fs::read_to_string(report(&home, text(&export), 10, &[])).expect("it was written");
    assert!(page.contains("tampered") && page.contains("FAIL"), "{page}");
    assert!(page.contains("Nothing is told") && !page.contains("<h2>Timeline</h2>"), "{page}");
    // And good evidence in a file is told like that of the store.
    let other = home.path("good.jsonl");
    fs::write(&other, &bytes).expect("it is writable");
    let page = fs::read_to_string(report(&home, text(&other), 0, &[])).expect("it was written");
    assert!(page.contains("verified") && page.contains("<h2>Timeline</h2>"), "{page}");
}

#[test]
fn the_page_is_seen_and_printed() {
    let home = Home::new();
    let run = home.examples().run_json("path-escape/program.toml", 3, &[])["run"].clone();
    let page = report(&home, run.as_str().expect("an id"), 0, &[]);
    let (picture, paper) = (home.path("page.png"), home.path("page.pdf"));
    browser(&home, &page, &[&format!("--screenshot={}", text(&picture)), "--window-size=1100,2200"]);
    browser(&home, &page, &[&format!("--print-to-pdf={}", text(&paper)), "--no-pdf-header-footer"]);
    let picture = fs::read(&picture).expect("a picture was taken");
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 50_000, "{} bytes", picture.len());
    let paper = fs::read(&paper).expect("it was printed");
    assert!(paper.starts_with(b"%PDF-") && paper.len() > 20_000, "{} bytes", paper.len());
}
