use super::*;
use crate::project::testing::{Sandbox, codes};

fn project(name: &str, sandbox: &Sandbox) -> PathBuf {
    sandbox.write(&format!("{name}/policies/local.toml"), "# nothing\n");
    sandbox.path(name)
}

fn states(sandbox: &Sandbox) -> anyhow::Result<Vec<(PathBuf, Verdict)>> {
    Ok(list(&sandbox.places)?.into_iter().map(|row| (row.project().to_owned(), row.now)).collect())
}

#[test]
fn nobody_is_trusted_and_nothing_created_before_the_user_says_so() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    assert_eq!(list(&sandbox.places)?, []);
    assert!(!sandbox.places.config.exists());
    Ok(())
}

#[test]
fn a_project_is_trusted_by_folder_or_file_once() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let (b, a) = (project("b", &sandbox), project("a", &sandbox));
    let first = add(&sandbox.places, &b)?;
    add(&sandbox.places, &b.join(LOCAL))?;
    add(&sandbox.places, &a)?;
    assert_eq!(first.policy, b.join(LOCAL));
    assert_eq!(first.project(), b);
    assert_eq!(states(&sandbox)?, [(a, Verdict::Trusted), (b, Verdict::Trusted)]);
    Ok(())
}

#[test]
fn a_changed_policy_is_asked_about_again() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let folder = project("p", &sandbox);
    let trusted = add(&sandbox.places, &folder)?;
    let verdict = |digest| verdict(&sandbox.places, &trusted.policy, digest);
    assert_eq!(verdict(trusted.digest)?, Verdict::Trusted);
    assert_eq!(verdict(Digest::of(b"other"))?, Verdict::Changed);

    sandbox.write("p/policies/local.toml", "# something\n");
    assert_eq!(states(&sandbox)?, [(folder.clone(), Verdict::Changed)]);
    assert_eq!(roots(&sandbox.places)?.covering(&[&folder]), None);
    add(&sandbox.places, &folder)?;
    assert_eq!(states(&sandbox)?, [(folder.clone(), Verdict::Trusted)]);
    assert_eq!(roots(&sandbox.places)?.covering(&[&folder]), Some(folder.as_path()));
    Ok(())
}

#[test]
fn trust_is_of_a_path_not_of_a_text() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let trusted = add(&sandbox.places, &project("p", &sandbox))?;
    let copy = project("copy", &sandbox);
    assert_eq!(verdict(&sandbox.places, &copy.join(LOCAL), trusted.digest)?, Verdict::Unknown);
    Ok(())
}

#[test]
fn a_project_is_forgotten_also_when_it_is_gone() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let (a, b) = (project("a", &sandbox), project("b", &sandbox));
    add(&sandbox.places, &a)?;
    add(&sandbox.places, &b)?;
    assert_eq!(remove(&sandbox.places, &a)?.map(|row| row.policy), Some(a.join(LOCAL)));
    fs::remove_dir_all(&b)?;
    assert_eq!(states(&sandbox)?, [(b.clone(), Verdict::Unknown)]);
    assert_eq!(remove(&sandbox.places, &b)?.map(|row| row.now), Some(Verdict::Unknown));
    assert_eq!(remove(&sandbox.places, &b)?, None);
    assert_eq!(list(&sandbox.places)?, []);
    Ok(())
}

#[test]
fn what_is_no_projects_policy_is_not_trusted() {
    let sandbox = Sandbox::new();
    sandbox.folder("empty");
    sandbox.write("elsewhere.toml", "");
    for target in ["empty", "elsewhere.toml"] {
        assert_eq!(codes(add(&sandbox.places, &sandbox.path(target))), ["not_trustable"]);
    }
    assert_eq!(codes(add(&sandbox.places, &sandbox.path("none"))), ["unreadable_file"]);
}

#[test]
fn a_record_that_is_not_understood_trusts_nobody() {
    let sandbox = Sandbox::new();
    let digest = Digest::of(b"");
    let row = |extra: &str| format!("[[policy]]\npath = \"/p\"\ndigest = \"{digest}\"\n{extra}");
    sandbox.write("config/trust.toml", &row(""));
    private_mode(&sandbox);
    assert_eq!(list(&sandbox.places).expect("it is valid").len(), 1);
    for text in [row("mode = 1\n"), "trusted = 1\n".into(), "[[policy]]\npath = \"/p\"\n".into(), "[[".into()]
    {
        sandbox.write("config/trust.toml", &text);
        assert_eq!(codes(list(&sandbox.places)), ["invalid_trust_file"], "{text}");
        assert_eq!(codes(roots(&sandbox.places)), ["invalid_trust_file"], "{text}");
    }
}

#[cfg(unix)]
#[test]
fn the_record_is_its_users_alone() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let sandbox = Sandbox::new();
    let folder = project("p", &sandbox);
    add(&sandbox.places, &folder)?;
    let record = sandbox.path("config/trust.toml");
    assert_eq!(record.metadata()?.permissions().mode() & 0o777, 0o600);
    assert_eq!(sandbox.path("config").metadata()?.permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&record, fs::Permissions::from_mode(0o660))?;
    assert_eq!(codes(list(&sandbox.places)), ["exposed_trust_file"]);
    assert_eq!(codes(add(&sandbox.places, &folder)), ["exposed_trust_file"]);
    Ok(())
}

#[test]
fn of_many_who_trust_at_once_none_is_forgotten() -> anyhow::Result<()> {
    let sandbox = Sandbox::new();
    let projects: Vec<_> = (0..8).map(|n| project(&format!("p{n}"), &sandbox)).collect();
    std::thread::scope(|scope| {
        for project in &projects {
            scope.spawn(|| add(&sandbox.places, project).map(drop).expect("the sandbox is writable"));
        }
    });
    assert_eq!(list(&sandbox.places)?.len(), projects.len());
    Ok(())
}

#[test]
fn roots_cover_what_lies_in_one_of_them_whole() {
    let roots = TrustedRoots::new(vec!["/a/b".into(), "/c".into()]);
    let covering = |paths: &[&str]| {
        let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
        roots.covering(&paths).map(Path::to_owned)
    };
    assert_eq!(covering(&["/a/b/tools/x", "/a/b"]), Some("/a/b".into()));
    assert_eq!(covering(&["/a/b/tools/x", "/a"]), None);
    assert_eq!(covering(&["/a/b", "/c"]), None);
    assert_eq!(covering(&["/a/bc"]), None);
}

#[cfg(unix)]
fn private_mode(sandbox: &Sandbox) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(sandbox.path("config/trust.toml"), fs::Permissions::from_mode(0o600))
        .expect("the file is there");
}

#[cfg(not(unix))]
fn private_mode(_sandbox: &Sandbox) {}
