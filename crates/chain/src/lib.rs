//! How to read Bitcoin: blocks, the outputs they spend, block files, work and forks.
//!
//! Pure: bytes and headers in, words of `model` out. Nothing here asks a node or opens a file.
