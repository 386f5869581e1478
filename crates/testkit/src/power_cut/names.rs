//! Which name leads to which file: as the running program sees it, and as a loss of power leaves it.
//!
//! Every creation, link, rename and removal is one change of the entries of one directory, or of two
//! when something moves between them. A change applies to what the program sees at once and waits in
//! its directories' queues until one of them is synced.
//!
//! What survives, [`Model::Strict`]: in each directory the changes since its last sync hold in order
//! up to a moment of their own, as a journal leaves them; directories do not wait for each other, but
//! a move between two happens in both or in neither. Syncing a directory persists its own entries
//! (with a move also what came before it on the other side), not its name in its parent, and syncing
//! a file persists no name at all. [`Model::FilesWithNames`] and [`Model::OneJournal`] are gentler.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};

use rand::Rng;
use rand::rngs::StdRng;

use super::file::Mood;

#[cfg(test)]
mod tests;

/// How names become durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// What POSIX promises and nothing more: a directory's entries are durable once that directory
    /// was synced. What holds here holds on every journalling file system.
    #[default]
    Strict,
    /// As strict, but that a sync of a file also persists the names that lead to it, with those of the
    /// directories above. Not promised by POSIX, but done by ext4, XFS, Btrfs and F2FS, each by its
    /// journal or log of the file.
    FilesWithNames,
    /// As on ext4: every sync, of a file too, makes all names durable that were made before it.
    OneJournal,
}

/// The number of a file or directory; never used twice in one mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ino(pub(super) u64);

/// The root directory.
pub(super) const ROOT: Ino = Ino(1);

/// One entry set to a file, or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) directory: Ino,
    pub(super) name: OsString,
    pub(super) entry: Option<Ino>,
}

/// The order in which changes were made.
type Moment = u64;

#[derive(Debug, Default)]
struct Directory {
    now: BTreeMap<OsString, Ino>,
    durable: BTreeMap<OsString, Ino>,
    pending: VecDeque<Moment>,
}

/// All directories of a mount.
#[derive(Debug)]
pub(super) struct Names {
    directories: BTreeMap<Ino, Directory>,
    /// What waits in some queue.
    changes: BTreeMap<Moment, Vec<Edit>>,
    next: Moment,
    model: Model,
}

impl Names {
    pub(super) fn new(model: Model) -> Self {
        let directories = BTreeMap::from([(ROOT, Directory::default())]);
        Self {
            directories,
            changes: BTreeMap::new(),
            next: 1,
            model,
        }
    }

    /// A directory without entries, which no entry names yet.
    pub(super) fn add_directory(&mut self, directory: Ino) {
        self.directories.insert(directory, Directory::default());
    }

    pub(super) fn get(&self, directory: Ino, name: &OsStr) -> Option<Ino> {
        self.directories.get(&directory)?.now.get(name).copied()
    }

    /// The entries that the program sees.
    pub(super) fn entries(&self, directory: Ino) -> Vec<(OsString, Ino)> {
        let now = self
            .directories
            .get(&directory)
            .map(|directory| &directory.now);
        now.into_iter()
            .flatten()
            .map(|(name, ino)| (name.clone(), *ino))
            .collect()
    }

    /// The entries that a loss of power would leave at least.
    pub(super) fn durable_entries(&self, directory: Ino) -> Vec<(OsString, Ino)> {
        let durable = self
            .directories
            .get(&directory)
            .map(|directory| &directory.durable);
        durable
            .into_iter()
            .flatten()
            .map(|(name, ino)| (name.clone(), *ino))
            .collect()
    }

    /// How many names lead to `ino` now.
    pub(super) fn links(&self, ino: Ino) -> u32 {
        let entries = self
            .directories
            .values()
            .flat_map(|directory| directory.now.values());
        u32::try_from(entries.filter(|entry| **entry == ino).count()).unwrap_or(u32::MAX)
    }

    /// Makes one change, atomically; it is pending in every directory it touches.
    pub(super) fn change(&mut self, edits: Vec<Edit>) {
        let moment = self.next;
        self.next += 1;
        for edit in &edits {
            let directory = self.directories.entry(edit.directory).or_default();
            edit.apply(&mut directory.now);
            if directory.pending.back() != Some(&moment) {
                directory.pending.push_back(moment);
            }
        }
        self.changes.insert(moment, edits);
    }

    /// A sync of one directory.
    pub(super) fn sync(&mut self, directory: Ino) {
        match self.model {
            Model::Strict | Model::FilesWithNames => {
                self.persist_up_to(BTreeMap::from([(directory, self.next)]));
            }
            Model::OneJournal => self.keep_all(),
        }
    }

    /// A sync of one file.
    pub(super) fn sync_file(&mut self, file: Ino) {
        match self.model {
            Model::Strict => {}
            Model::FilesWithNames => self.persist_up_to(self.names_of(file)),
            Model::OneJournal => self.keep_all(),
        }
    }

    /// Makes everything durable.
    pub(super) fn keep_all(&mut self) {
        self.persist(|_, _| true);
    }

    /// Makes a part of the pending changes durable and forgets the others, as a loss of power does.
    /// Returns how many it forgot. Nothing is pending afterwards.
    pub(super) fn lose_power(&mut self, mood: Mood, rng: &mut StdRng) -> u64 {
        let last = match (mood, self.model) {
            (Mood::Nothing, _) => BTreeMap::new(),
            (Mood::Everything, _) => self
                .directories
                .keys()
                .map(|directory| (*directory, self.next))
                .collect(),
            (Mood::Some(_), Model::OneJournal) => {
                let first = self.changes.keys().next().copied().unwrap_or(self.next);
                let last = rng.random_range(first - 1..self.next);
                self.directories
                    .keys()
                    .map(|directory| (*directory, last))
                    .collect()
            }
            (Mood::Some(_), Model::Strict | Model::FilesWithNames) => self.draw_last_moments(rng),
        };
        self.persist(|directory, moment| last.get(&directory) >= Some(&moment));
        let forgotten = self.changes.len() as u64;
        self.changes.clear();
        for directory in self.directories.values_mut() {
            directory.pending.clear();
            directory.now = directory.durable.clone();
        }
        forgotten
    }

    /// Everything that some name leads to, or may lead to after a loss of power.
    pub(super) fn named(&self) -> BTreeSet<Ino> {
        let entries = self
            .directories
            .values()
            .flat_map(|directory| directory.now.values().chain(directory.durable.values()));
        let pending = self
            .changes
            .values()
            .flatten()
            .filter_map(|edit| edit.entry.as_ref());
        entries.chain(pending).copied().chain([ROOT]).collect()
    }

    /// Forgets directories outside `named`.
    pub(super) fn keep_only(&mut self, named: &BTreeSet<Ino>) {
        self.directories
            .retain(|ino, directory| named.contains(ino) || !directory.pending.is_empty());
    }

    /// For each directory the last pending change that leads to `ino`, or to a directory above it.
    fn names_of(&self, ino: Ino) -> BTreeMap<Ino, Moment> {
        let mut names = BTreeMap::new();
        let mut open = vec![ino];
        while let Some(ino) = open.pop() {
            for (moment, edits) in &self.changes {
                for edit in edits.iter().filter(|edit| edit.entry == Some(ino)) {
                    if names.insert(edit.directory, *moment).is_none() {
                        open.push(edit.directory);
                    }
                }
            }
        }
        names
    }

    /// Makes durable, for each directory in `wanted`, the changes up to that moment; a move takes
    /// what came before it on its other side along.
    fn persist_up_to(&mut self, mut wanted: BTreeMap<Ino, Moment>) {
        let mut open: Vec<_> = wanted.keys().copied().collect();
        while let Some(directory) = open.pop() {
            let until = wanted[&directory];
            for moment in self.pending_until(directory, until) {
                for edit in &self.changes[&moment] {
                    if wanted.get(&edit.directory) < Some(&moment) {
                        wanted.insert(edit.directory, moment);
                        open.push(edit.directory);
                    }
                }
            }
        }
        self.persist(|directory, moment| wanted.get(&directory) >= Some(&moment));
    }

    /// For each directory the last moment that survives, such that a move survives on both sides or
    /// on neither.
    fn draw_last_moments(&self, rng: &mut StdRng) -> BTreeMap<Ino, Moment> {
        let mut last = BTreeMap::new();
        for (ino, directory) in &self.directories {
            let kept = rng.random_range(0..=directory.pending.len());
            let moment = kept.checked_sub(1).map_or(0, |at| directory.pending[at]);
            last.insert(*ino, moment);
        }
        // Oldest first: giving up a change takes away only newer ones, which are still to come.
        for (moment, edits) in &self.changes {
            if edits.iter().any(|edit| last[&edit.directory] < *moment) {
                for edit in edits {
                    let last = last.get_mut(&edit.directory).expect("was drawn above");
                    *last = (*last).min(moment - 1);
                }
            }
        }
        last
    }

    fn pending_until(&self, directory: Ino, until: Moment) -> Vec<Moment> {
        let pending = self
            .directories
            .get(&directory)
            .map(|directory| &directory.pending);
        pending
            .into_iter()
            .flatten()
            .copied()
            .take_while(|moment| *moment <= until)
            .collect()
    }

    /// Applies to the durable entries, in order, the pending changes that `wanted` names.
    fn persist(&mut self, wanted: impl Fn(Ino, Moment) -> bool) {
        let moments: Vec<_> = self
            .changes
            .iter()
            .filter(|(moment, edits)| edits.iter().any(|edit| wanted(edit.directory, **moment)))
            .map(|(moment, _)| *moment)
            .collect();
        for moment in moments {
            let edits = self.changes.remove(&moment).expect("was found above");
            for edit in edits {
                let directory = self.directories.entry(edit.directory).or_default();
                edit.apply(&mut directory.durable);
                directory.pending.retain(|pending| *pending != moment);
            }
        }
    }
}

impl Edit {
    fn apply(&self, entries: &mut BTreeMap<OsString, Ino>) {
        match self.entry {
            Some(ino) => entries.insert(self.name.clone(), ino),
            None => entries.remove(&self.name),
        };
    }
}
