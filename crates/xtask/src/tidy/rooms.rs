//! Who may lean on whom, and which guests live where. Whether a guest is needed at all is left to `guests`.

use super::{Finding, Rules};
use crate::workspace::{Package, Workspace};

pub(super) fn check(rules: &Rules, workspace: &Workspace, findings: &mut Vec<Finding>) {
    let mut known: Vec<&str> = rules.rooms.keys().map(String::as_str).collect();
    for room in workspace.rooms() {
        known.retain(|name| *name != room.name);
        check_room(rules, room, findings);
    }
    for name in known {
        findings.push(Finding::new("tidy.toml", format!("room {name} is no member of the workspace")));
    }
}

fn check_room(rules: &Rules, room: &Package, findings: &mut Vec<Finding>) {
    let place = format!("crates/{}/Cargo.toml", room.name);
    let Some(allowed) = rules.rooms.get(&room.name) else {
        findings.push(Finding::new("tidy.toml", format!("say under [rooms] what {} may lean on", room.name)));
        return;
    };
    if room.folder().file_name().is_none_or(|folder| folder.to_string_lossy() != room.name) {
        findings.push(Finding::new(&place, "a room's folder is named after it"));
    }
    for dependency in room.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
        let name = &dependency.name;
        if dependency.path.is_some() && !allowed.contains(name) {
            findings.push(Finding::new(
                &place,
                format!(
                    "{} may not lean on {name}: rooms lean on lower floors only ([rooms] in tidy.toml)",
                    room.name
                ),
            ));
        }
        if let Some(homes) = rules.guests.get(name).filter(|homes| !homes.contains(&room.name)) {
            findings.push(Finding::new(
                &place,
                format!(
                    "the guest {name} lives in {} only; reach it through a door there",
                    homes.join(" and ")
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for edges that are and are not allowed.
    use super::*;

    fn workspace(dependencies: &str) -> Workspace {
        let text = format!(
            r#"{{"target_directory": "t", "workspace_members": ["serve"], "packages": [{{
                "name": "serve", "version": "0.0.0", "id": "serve", "license": null, "source": null,
                "manifest_path": "crates/serve/Cargo.toml", "dependencies": [{dependencies}]}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn check_words(dependencies: &str) -> Vec<String> {
        let mut rules = Rules::default();
        rules.rooms.insert("serve".into(), vec!["model".into()]);
        rules.guests.insert("deltalake".into(), vec!["lake".into()]);
        let mut findings = Vec::new();
        check(&rules, &workspace(dependencies), &mut findings);
        findings.into_iter().map(|finding| finding.words).collect()
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_refused() {
        let lake = r#"{"name": "lake", "kind": null, "req": "*", "path": "crates/lake"}"#;
        assert!(check_words(lake)[0].contains("serve may not lean on lake"));
        assert_eq!(check_words(&lake.replace("lake", "model")), Vec::<String>::new());
        assert_eq!(check_words(&lake.replace("null", "\"dev\"")), Vec::<String>::new(), "tests are free");
    }

    #[test]
    fn heavy_guests_stay_in_their_room() {
        let delta = r#"{"name": "deltalake", "kind": null, "req": "=1"}"#;
        assert!(check_words(delta)[0].contains("lives in lake only"));
    }
}
