//! Granted folders. A tool reads and writes them through `std::fs`; in a native test the guest
//! path stands for a folder that `testing::mount` named.

/// The path to open for a guest path such as `/data/orders.json`. In a component it is that path
/// itself, byte for byte: what may be opened is decided by the host and not here.
#[cfg(target_family = "wasm")]
pub fn path(guest: &str) -> &str {
    guest
}

/// The path to open for a guest path such as `/data/orders.json`: below the folder that
/// [`crate::testing::mount`] put there, or the same path where it put none.
#[cfg(not(target_family = "wasm"))]
pub fn path(guest: &str) -> std::path::PathBuf {
    crate::testing::mounted(guest).unwrap_or_else(|| guest.into())
}
