//! Each group of `scripts/test.sh` has its budget in CONTRIBUTING.md, and the reverse.

use std::collections::BTreeSet;

use crate::markdown::root;

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_group_of_tests_has_a_budget() {
    let script = read("scripts/test.sh");
    let timed: BTreeSet<_> = script
        .lines()
        .filter_map(|line| line.strip_prefix("took \"")?.split('"').next())
        .collect();
    let contributing = read("CONTRIBUTING.md");
    let budgets: BTreeSet<_> = contributing
        .lines()
        .skip_while(|line| !line.starts_with("| group | minutes |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(str::trim);
            let name = cells.next().unwrap_or_default();
            let minutes = cells.next().unwrap_or_default();
            assert!(minutes.parse::<u32>().is_ok(), "{name}: {minutes}");
            name
        })
        .collect();
    assert_eq!(timed, budgets);
    assert!(timed.len() > 3, "{timed:?}");
}
