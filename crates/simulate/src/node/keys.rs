//! Scripts that the simulated miner pays to and can spend again. Whoever knows the bytes may spend: no signature is made here,
//! and none is missing. Outputs of others are spent with bytes of the usual length that sign nothing.

use std::collections::HashMap;

use super::block::Input;
use super::bytes::{once, put_bytes};
use crate::hash::Sequence;

/// Addresses of the miner and those it pays.
const COUNT: u64 = 256;

/// How an output is locked.
#[derive(Clone, Copy, Debug)]
enum Lock {
    /// Script in the witness.
    Witness,
    /// Nothing hidden: the script stands in the output.
    Bare,
}

/// All addresses.
#[derive(Debug)]
pub(super) struct Keys {
    scripts: Vec<Vec<u8>>,
    /// What unlocks a script.
    inner: HashMap<Vec<u8>, (Lock, Vec<u8>)>,
}

impl Keys {
    /// Those of a seed.
    pub(super) fn new(seed: u64) -> Self {
        let (mut scripts, mut inner) = (Vec::new(), HashMap::new());
        for number in 0..COUNT {
            // PUSH 8 bytes, DROP, TRUE: anybody may spend, and no two are alike.
            let mut opener = vec![8];
            opener.extend(crate::hash::at(seed, number as i64).to_le_bytes());
            opener.extend([0x75, 0x51]);
            let (script, lock) = if number % 3 == 0 {
                (opener.clone(), Lock::Bare)
            } else {
                ([&[0, 32][..], &once(&opener)].concat(), Lock::Witness)
            };
            inner.insert(script.clone(), (lock, opener));
            scripts.push(script);
        }
        Self { scripts, inner }
    }

    /// Any address.
    pub(super) fn any(&self, chance: &mut Sequence) -> Vec<u8> {
        self.scripts[(chance.draw() % COUNT) as usize].clone()
    }

    /// Puts into an input what spends an output with this script.
    pub(super) fn unlock(&self, input: &mut Input, script: &[u8], chance: &mut Sequence) {
        match self.inner.get(script) {
            Some((Lock::Witness, opener)) => input.witness = vec![opener.clone()],
            Some((Lock::Bare, _)) => {}
            None => imitate(input, script, chance),
        }
    }
}

/// Bytes such as a signature and a key, where an output of others stands.
fn imitate(input: &mut Input, script: &[u8], chance: &mut Sequence) {
    match script {
        [0x51, 32, ..] if script.len() == 34 => input.witness = vec![noise(64, chance)],
        [0, 20 | 32, ..] => {
            let mut key = noise(33, chance);
            key[0] = 2;
            input.witness = vec![noise(71, chance), key];
        }
        [0x51, 2, 0x4e, 0x73] => {}
        _ => {
            put_bytes(&mut input.script, &noise(71, chance));
            put_bytes(&mut input.script, &noise(33, chance));
        }
    }
}

fn noise(count: usize, chance: &mut Sequence) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend(chance.draw().to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// An output of somebody, as most are: to the hash of a key.
pub(super) fn stranger(chance: &mut Sequence) -> Vec<u8> {
    [&[0, 20][..], &noise(20, chance)].concat()
}
