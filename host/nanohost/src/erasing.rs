//! The steps of an erasure after its act: the list outside of the store, the keys, the rows, the copies
//! in the files. Each can be made again, and is, where a process ended between two of them.

use nanohost_store::{Fence, Journal as _, Purge, Records as _, SqliteStore, Taken};

use crate::project::Places;
use crate::{fault, outside, store_failure};

/// Brings an erasure whose act is on disk to its end. `Pending`: everything is erased, and copies
/// remain in the files for as long as a reader of an earlier moment stands in the way.
pub fn finish(store: &SqliteStore, fence: &Fence, places: &Places) -> anyhow::Result<Purge> {
    // A list that cannot be written keeps nothing from going that a signed act says is gone.
    let listed = outside::list(store, places);
    fault::point();
    store.destroy_keys(fence).map_err(store_failure)?;
    fault::point();
    store.remove_erased(fence).map_err(store_failure)?;
    fault::point();
    let purge = store.purge(fence).map_err(store_failure)?;
    fault::point();
    listed.map(|()| purge)
}

/// Goes on with what another process began and did not bring to its end; one that is at it is left alone.
pub fn roll_forward(store: &SqliteStore, places: &Places) -> anyhow::Result<()> {
    if !store.is_erasing().map_err(store_failure)? {
        return Ok(());
    }
    let id = store.acts().map_err(store_failure)?;
    if let Taken::Owned(fence) = store.take(&id).map_err(store_failure)? {
        finish(store, &fence, places)?;
    }
    Ok(())
}
