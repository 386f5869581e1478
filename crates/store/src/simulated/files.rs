//! Files that know which of their writes are durable.

use super::random::Random;
use super::{Disk, State};
use crate::files::{Bytes, Files};
use std::io;
use std::sync::Arc;

/// What a disk writes at once or not at all, unless it is torn.
const SECTOR: usize = 512;

/// The disk as one life of the process sees it.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) disk: Disk,
    pub(super) life: u64,
}

#[derive(Debug)]
struct OpenFile {
    handle: Handle,
    id: u64,
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct StoredFile {
    /// What would be left without the writes since the last sync.
    durable: Vec<u8>,
    /// What a reader sees.
    current: Vec<u8>,
    pending: Vec<Write>,
}

#[derive(Debug)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
}

impl StoredFile {
    pub(super) fn len(&self) -> u64 {
        self.current.len() as u64
    }

    /// Flips a bit of the byte at `offset`; `false` when there is no such byte.
    pub(super) fn flip(&mut self, offset: u64) -> bool {
        let Ok(offset) = usize::try_from(offset) else {
            return false;
        };
        for bytes in [&mut self.durable, &mut self.current] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << (offset % 8);
            }
        }
        offset < self.current.len()
    }

    fn sync(&mut self) {
        for write in self.pending.drain(..) {
            put(&mut self.durable, write.offset, &write.bytes);
        }
    }

    /// A sync fails: some of what was written got there, and the system forgets that the rest did not.
    fn fail_sync(&mut self, random: &mut Random) {
        for write in std::mem::take(&mut self.pending) {
            self.lose_sectors(&write, random);
        }
    }

    /// What is there after a cut.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let mode = random.below(4);
        for write in std::mem::take(&mut self.pending) {
            match mode {
                0 => {}
                1 => put(&mut self.durable, write.offset, &write.bytes),
                _ => self.lose_sectors(&write, random),
            }
        }
        self.current.clone_from(&self.durable);
    }

    fn lose_sectors(&mut self, write: &Write, random: &mut Random) {
        let mut at = 0;
        while at < write.bytes.len() {
            let to_boundary = SECTOR - (write.offset + at) % SECTOR;
            let length = to_boundary.min(write.bytes.len() - at);
            let kept = match random.below(8) {
                0..4 => length,
                // Torn.
                4 => usize::try_from(random.below(length as u64)).unwrap_or(0),
                _ => 0,
            };
            put(
                &mut self.durable,
                write.offset + at,
                &write.bytes[at..at + kept],
            );
            at += length;
        }
    }
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

fn to_usize(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state.lock();
        state.check_life(self.life)?;
        act(&mut state)
    }
}

impl Files for Handle {
    fn list(&self) -> io::Result<Vec<String>> {
        self.with(|state| Ok(state.names.keys().cloned().collect()))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Bytes>> {
        let id = self.with(|state| {
            if let Some(id) = state.names.get(name) {
                return Ok(*id);
            }
            let id = state.next_file;
            state.next_file += 1;
            state.names.insert(name.to_owned(), id);
            state.files.insert(id, StoredFile::default());
            Ok(id)
        })?;
        Ok(Arc::new(OpenFile {
            handle: self.clone(),
            id,
        }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|state| match state.names.remove(name) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.with(|state| {
            state.fail_sync()?;
            state.durable_names.clone_from(&state.names);
            Ok(())
        })
    }

    fn salt(&self) -> u64 {
        self.disk.state.lock().random.draw()
    }
}

impl State {
    fn fail_sync(&mut self) -> io::Result<()> {
        if self.failing_syncs == 0 {
            return Ok(());
        }
        self.failing_syncs -= 1;
        Err(io::Error::other("a sync that was told to fail"))
    }

    fn file(&mut self, id: u64) -> io::Result<&mut StoredFile> {
        self.files
            .get_mut(&id)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Bytes for OpenFile {
    fn len(&self) -> io::Result<u64> {
        self.handle.with(|state| Ok(state.file(self.id)?.len()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.handle.with(|state| {
            let bytes = &state.file(self.id)?.current;
            let start = to_usize(offset)?.min(bytes.len());
            let count = buffer.len().min(bytes.len() - start);
            buffer[..count].copy_from_slice(&bytes[start..start + count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.handle.with(|state| {
            let (used, limit) = (state.used(), state.limit);
            let file = state.file(self.id)?;
            let end = offset + bytes.len() as u64;
            let growth = end.saturating_sub(file.len());
            if limit.is_some_and(|limit| growth > 0 && used + growth > limit) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let offset = to_usize(offset)?;
            put(&mut file.current, offset, bytes);
            file.pending.push(Write {
                offset,
                bytes: bytes.to_vec(),
            });
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.with(|state| {
            let failed = state.fail_sync();
            let mut random = Random::new(state.random.draw());
            let file = state.file(self.id)?;
            if failed.is_err() {
                file.fail_sync(&mut random);
            } else {
                file.sync();
            }
            failed
        })
    }
}
