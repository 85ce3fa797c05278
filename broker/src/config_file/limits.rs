//! Caps of reading a configuration. nats-server has none; these are far beyond any real file.

/// One file, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 16 << 20;
/// All files together, in bytes.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// Files that include one another.
pub(super) const INCLUDE_DEPTH_MAX: usize = 16;
/// Maps and arrays inside one another.
pub(super) const NESTING_MAX: usize = 64;
/// Values, counted again wherever a variable repeats them.
pub(super) const VALUES_MAX: usize = 2_000_000;
