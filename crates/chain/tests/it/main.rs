//! Real blocks, held against what nodes, an independent program and another library say of them.

#[cfg(test)]
mod data;
#[cfg(test)]
mod files;
#[cfg(test)]
mod index;
#[cfg(test)]
mod mainnet;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod regtest;
#[cfg(test)]
mod stats;
