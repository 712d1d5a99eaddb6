//! The recorded chain taken in over REST, over JSON-RPC alone, and from the node's files: the same rows every way.

use std::path::Path;

use crate::chain_world::{compare, section, state, told, world};
use crate::world::{World, tickhouse};

/// One way, and what it is in settings.
struct Way {
    name: &'static str,
    settings: &'static str,
    /// As the command says it at its end.
    told: &'static str,
}

const WAYS: [Way; 3] = [
    Way { name: "rest", settings: "", told: "over REST" },
    Way { name: "rpc", settings: "rest = false", told: "over JSON-RPC" },
    Way { name: "files", settings: "blocks_folder = \"node\"", told: "from the node's files" },
];

#[test]
fn rest_rpc_and_files_give_the_same_tables() {
    let world = world(&["--node-files", "node"]);
    let mut states = Vec::new();
    for way in &WAYS {
        let before = asked(&world);
        let settings = format!("step_blocks = 100\n{}", way.settings);
        world.configure("", &section(&world, &settings));
        let arguments = ["btc", "sync", "-c", "tickhouse.toml", "--data", way.name];
        let output = tickhouse(world.place.path(), &arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}: {said}{}", way.name, String::from_utf8_lossy(&output.stderr));
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("335 blocks taken in ") && last.contains(way.told), "{}: {said}", way.name);
        let after = asked(&world);
        let (rpc, rest) = (after.0 - before.0, after.1 - before.1);
        // Each block is asked for, or none is: the node counted.
        match way.name {
            "rest" => {
                assert!(rest >= 2 * 335 && rpc < 100, "{rest} questions over REST, {rpc} over JSON-RPC");
            }
            "rpc" => assert!(rest == 0 && rpc >= 335, "{rest} questions over REST, {rpc} over JSON-RPC"),
            _ => assert!(rest == 0 && rpc < 100, "{rest} questions over REST, {rpc} over JSON-RPC"),
        }
        // Once more, with nothing to do: it ends.
        let output = tickhouse(world.place.path(), &arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.starts_with("0 blocks taken in "), "{}: {said}", way.name);
        states.push(state(world.place.path(), way.name));
        bytes_are_kept(world.place.path(), way.name);
    }
    for (way, found) in WAYS.iter().zip(&states).skip(1) {
        compare(found, &states[0], &format!("{} beside {}", way.name, WAYS[0].name));
    }
}

/// Questions the node was asked so far: over JSON-RPC, over REST.
fn asked(world: &World) -> (u64, u64) {
    let told = told(world);
    let count = |name: &str| told["asked"][name].as_u64().unwrap_or_else(|| panic!("{told}"));
    (count("rpc"), count("rest"))
}

/// Every block names the place where its bytes are kept.
fn bytes_are_kept(folder: &Path, data: &str) {
    let query = "select count(*) from btc_blocks where stored_file is not null and stored_offset is not null";
    assert_eq!(crate::world::sql(folder, data, query)[0][0], "335", "{data}");
}
