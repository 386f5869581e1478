//! Branches that were found before a descent comes to them.

use super::{Branch, Path};

/// Branches by depth, and at each depth in the order of their paths, which is the order in which a descent comes to
/// them: so it takes the next one, and looks for nothing.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    levels: Vec<std::vec::IntoIter<(u64, Branch)>>,
}

impl Ahead {
    /// Adds the branches one level further down, by [`Path::short`]; the first level is that of the root's children.
    pub(crate) fn push(&mut self, level: Vec<(u64, Branch)>) {
        self.levels.push(level.into_iter());
    }

    /// The branch at `path`, if it was found; nothing at or before it will be asked for at this depth.
    pub(super) fn take(&mut self, path: &Path) -> Option<Branch> {
        let level = self.levels.get_mut(path.length().checked_sub(1)?)?;
        let path = path.short()?;
        while level.as_slice().first()?.0 < path {
            level.next();
        }
        if level.as_slice().first()?.0 > path {
            return None;
        }
        level.next().map(|(_, branch)| branch)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    #[test]
    fn what_was_found_is_taken_once_and_in_order() {
        // Two inline children: one byte of the row says which branch it is.
        let branch =
            |seed: u8| Branch::from_row(&[0, 0, 3, 0, 0, 0, 3, 0xc1, seed, 0xc1, 1]).unwrap();
        let path = |first: u8, length| Path::prefix(&B256::repeat_byte(first), length);
        let mut ahead = Ahead::default();
        ahead.push(vec![(path(0x11, 1).short().unwrap(), branch(1))]);
        let second = [0x11, 0x22, 0x33].map(|key| (path(key, 2).short().unwrap(), branch(key)));
        ahead.push(second.into());
        assert_eq!(ahead.take(&Path::ROOT), None);
        assert_eq!(ahead.take(&path(0x11, 1)), Some(branch(1)));
        assert_eq!(ahead.take(&path(0x11, 1)), None);
        assert_eq!(ahead.take(&path(0x10, 2)), None);
        assert_eq!(ahead.take(&path(0x22, 2)), Some(branch(0x22)));
        assert_eq!(ahead.take(&path(0x11, 2)), None);
        assert_eq!(ahead.take(&path(0x33, 2)), Some(branch(0x33)));
        assert_eq!(ahead.take(&path(0x33, 3)), None);
        assert_eq!(ahead.take(&path(0x33, 64)), None);
    }
}
