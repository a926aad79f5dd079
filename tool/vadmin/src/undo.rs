//! What was done so far, to be undone when the rest fails.

/// Steps back, run in reverse order unless [`Undo::keep`] is called.
#[derive(Default)]
pub struct Undo<'a>(Vec<Box<dyn FnOnce() + 'a>>);

impl<'a> Undo<'a> {
    /// Remembers how to take a step back.
    pub fn push(&mut self, step: impl FnOnce() + 'a) {
        self.0.push(Box::new(step));
    }

    /// Everything went well.
    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        while let Some(step) = self.0.pop() {
            step();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn steps_are_undone_backwards_unless_kept() {
        let seen = RefCell::new(Vec::new());
        let mut undo = Undo::default();
        undo.push(|| seen.borrow_mut().push(1));
        undo.push(|| seen.borrow_mut().push(2));
        drop(undo);
        assert_eq!(*seen.borrow(), [2, 1]);
        let mut undo = Undo::default();
        undo.push(|| seen.borrow_mut().push(3));
        undo.keep();
        assert_eq!(*seen.borrow(), [2, 1]);
    }
}
