//! Queues without an installation.

use queue::Layout;

/// A new queue, and the directory it goes with.
///
/// # Panics
/// When it cannot be made.
pub fn new_queue() -> (tempfile::TempDir, Layout) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let root = directory.path().join("queue1");
    queue::create(&root, None).expect("a queue can be made");
    let layout = Layout::detect(&root).expect("a new queue has a layout");
    (directory, layout)
}
