use super::*;
use crate::project::testing::codes;

fn from(store: Option<&str>, variables: &[(&str, &str)]) -> anyhow::Result<Places> {
    Places::from_environment(store.map(Path::new), &|name| {
        variables.iter().find(|(own, _)| *own == name).map(|(_, value)| OsString::from(value))
    })
}

#[test]
fn a_flag_wins_over_the_environment() -> anyhow::Result<()> {
    let variables = [("NANOHOST_STORE", "/env/store"), ("NANOHOST_CONFIG", "/env/config")];
    assert_eq!(from(Some("/flag"), &variables)?.store, Path::new("/flag"));
    let places = from(None, &variables)?;
    assert_eq!(places.store, Path::new("/env/store"));
    assert_eq!(places.config, Path::new("/env/config"));
    assert_eq!(places.policy, None);
    Ok(())
}

#[test]
fn the_environment_names_a_policy() -> anyhow::Result<()> {
    let variables = [("NANOHOST_STORE", "/s"), ("NANOHOST_CONFIG", "/c"), ("NANOHOST_POLICY", "p.toml")];
    assert_eq!(from(None, &variables)?.policy.as_deref(), Some(Path::new("p.toml")));
    Ok(())
}

#[test]
fn nothing_is_fetched_where_the_environment_says_so() -> anyhow::Result<()> {
    let offline = |value| {
        from(None, &[("NANOHOST_STORE", "/s"), ("NANOHOST_CONFIG", "/c"), ("NANOHOST_OFFLINE", value)])
    };
    assert!(offline("1")?.offline);
    assert!(!offline("0")?.offline);
    assert_eq!(codes(offline("yes")), ["invalid_variable"]);
    Ok(())
}

#[test]
fn the_cache_lies_elsewhere_or_nowhere() -> anyhow::Result<()> {
    let cache =
        |value| from(None, &[("NANOHOST_STORE", "/s"), ("NANOHOST_CONFIG", "/c"), ("NANOHOST_CACHE", value)]);
    assert_eq!(cache("/cache")?.code_cache(), Some(PathBuf::from("/cache/code")));
    assert_eq!(cache("off")?.code_cache(), None);
    assert_eq!(cache("./off")?.code_cache(), Some(PathBuf::from("./off/code")));
    Ok(())
}

#[test]
fn an_empty_variable_is_refused_rather_than_taken_for_this_folder() {
    for name in
        ["NANOHOST_STORE", "NANOHOST_CONFIG", "NANOHOST_CACHE", "NANOHOST_POLICY", "NANOHOST_MACHINE_POLICY"]
    {
        let mut variables = vec![("NANOHOST_STORE", "/s"), ("NANOHOST_CONFIG", "/c")];
        variables.retain(|(own, _)| *own != name);
        variables.push((name, ""));
        let error = from(None, &variables).expect_err("it is empty");
        assert!(error.to_string().contains("[empty_variable]"), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let variables = [("NANOHOST_CONFIG", "/c")];
    assert_eq!(codes(from(Some(""), &variables)), ["empty_variable"]);
}
