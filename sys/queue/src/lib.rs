//! The queue on disk: names, order of syncs, recovery.
