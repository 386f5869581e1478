//! The disk as a FUSE file system: requests of the kernel become calls of [`Disk`].
//!
//! The kernel writes through: every `write` arrives before it returns, every `fsync` when it is
//! called, and dirty pages of a shared mapping with `msync` or `fsync`. Locks (`flock`, `fcntl`) stay
//! in the kernel. `sync_file_range` and `sync` do not arrive, and so make nothing durable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::disk::{Disk, Kind};
use super::file::{Change, Unsynced};
use super::names::Ino;

/// The kernel may remember names and attributes: nothing changes behind its back.
const REMEMBER: Duration = Duration::from_secs(3600);
/// What a page cache and most disks call a block.
const BLOCK_BYTES: u32 = 4096;
/// The space that is said to be there and free, in blocks: 4 TiB.
const BLOCKS: u64 = 1 << 30;

/// What one `opendir` saw, and what every `readdir` on it goes on from.
type Listing = Vec<(Ino, FileType, OsString)>;

#[derive(Debug)]
pub(super) struct Mounted {
    /// Shared between the thread that serves the kernel and the test that cuts the power: a request
    /// is served whole before the cut or not at all.
    disk: Arc<Mutex<Disk>>,
    listings: Mutex<BTreeMap<u64, Listing>>,
    next_listing: AtomicU64,
}

impl Mounted {
    pub(super) fn new(disk: Arc<Mutex<Disk>>) -> Self {
        Self {
            disk,
            listings: Mutex::default(),
            next_listing: AtomicU64::new(1),
        }
    }

    /// The disk, if it has power.
    fn disk(&self) -> Result<MutexGuard<'_, Disk>, Errno> {
        let mut disk = lock(&self.disk);
        disk.powered()?;
        Ok(disk)
    }

    fn make(
        &self,
        parent: INodeNo,
        name: &OsStr,
        kind: Kind,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        let mut disk = self.disk()?;
        let ino = disk.create((Ino(parent.0), name), kind, mode)?;
        attributes(&disk, ino)
    }

    /// Opens the file of a `create`, which another process may have made in between.
    fn open_or_create(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        flags: i32,
    ) -> Result<FileAttr, Errno> {
        let mut disk = self.disk()?;
        let ino = match disk.lookup(Ino(parent.0), name) {
            Ok(_) if flags & libc::O_EXCL != 0 => return Err(Errno::EEXIST),
            Ok(ino) => {
                if flags & libc::O_TRUNC != 0 {
                    disk.modify(ino, vec![Change::Resize { size: 0 }], false)?;
                }
                ino
            }
            Err(_) => disk.create((Ino(parent.0), name), empty_file(), mode)?,
        };
        disk.node_mut(ino)?.opens += 1;
        attributes(&disk, ino)
    }

    fn list(&self, directory: INodeNo) -> Result<u64, Errno> {
        let disk = self.disk()?;
        let own = [".", ".."].map(|name| (Ino(directory.0), FileType::Directory, name.into()));
        let mut listing = Listing::from(own);
        for (name, ino) in disk.entries(Ino(directory.0)) {
            listing.push((ino, file_type(&disk.node(ino)?.kind), name));
        }
        let handle = self.next_listing.fetch_add(1, Ordering::Relaxed);
        lock(&self.listings).insert(handle, listing);
        Ok(handle)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no thread panics while it holds this lock")
}

fn empty_file() -> Kind {
    Kind::File {
        size: 0,
        unsynced: Unsynced::default(),
    }
}

fn file_type(kind: &Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File { .. } => FileType::RegularFile,
        Kind::Socket => FileType::Socket,
    }
}

fn attributes(disk: &Disk, ino: Ino) -> Result<FileAttr, Errno> {
    let (node, size) = (disk.node(ino)?, disk.size(ino)?);
    let nlink = if matches!(node.kind, Kind::Directory) {
        2
    } else {
        disk.links(ino)
    };
    Ok(FileAttr {
        ino: INodeNo(ino.0),
        size,
        blocks: size.div_ceil(512),
        atime: node.modified,
        mtime: node.modified,
        ctime: node.modified,
        crtime: node.modified,
        kind: file_type(&node.kind),
        perm: u16::try_from(node.mode & 0o7777).expect("twelve bits fit"),
        nlink,
        uid: process_uid(),
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    })
}

/// Files belong to whoever runs the test.
fn process_uid() -> u32 {
    #[expect(
        unsafe_code,
        reason = "the standard library does not tell the user's number"
    )]
    // SAFETY: takes nothing, always succeeds.
    unsafe {
        libc::geteuid()
    }
}

/// What `fallocate` does to a file of `size` bytes, or `None` for a mode that is not supported.
fn allocation(mode: i32, offset: u64, length: u64, size: u64) -> Option<Vec<Change>> {
    let grow = Change::Resize {
        size: size.max(offset + length),
    };
    let zero = Change::Zero {
        range: offset..offset + length,
    };
    let keep_size = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
    match mode & !libc::FALLOC_FL_KEEP_SIZE {
        0 if keep_size => Some(Vec::new()),
        0 => Some(vec![grow]),
        libc::FALLOC_FL_PUNCH_HOLE if keep_size => Some(vec![zero]),
        libc::FALLOC_FL_ZERO_RANGE if keep_size => Some(vec![zero]),
        libc::FALLOC_FL_ZERO_RANGE => Some(vec![grow, zero]),
        _ => None,
    }
}

/// Answers with what `$work` gives, or with its error.
macro_rules! answer {
    ($reply:ident, $work:expr, $value:pat => $good:expr) => {
        match attempt(|| $work) {
            Ok($value) => $good,
            Err(error) => $reply.error(error),
        }
    };
}

/// Runs a request's work, so that it can end early with `?`.
fn attempt<T>(work: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    work()
}

impl Filesystem for Mounted {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, {
            let disk = self.disk()?;
            attributes(&disk, disk.lookup(Ino(parent.0), name)?)
        }, attr => reply.entry(&REMEMBER, &attr, Generation(0)));
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let work = || attributes(&*self.disk()?, Ino(ino.0));
        answer!(reply, work(), attr => reply.attr(&REMEMBER, &attr));
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        answer!(reply, {
            let (mut disk, ino) = (self.disk()?, Ino(ino.0));
            if let Some(size) = size {
                disk.modify(ino, vec![Change::Resize { size }], false)?;
            }
            let node = disk.node_mut(ino)?;
            if let Some(mode) = mode {
                node.mode = mode & 0o7777;
            }
            match mtime {
                Some(TimeOrNow::SpecificTime(time)) => node.modified = time,
                Some(TimeOrNow::Now) => node.modified = SystemTime::now(),
                None => {}
            }
            attributes(&disk, ino)
        }, attr => reply.attr(&REMEMBER, &attr));
    }

    fn mknod(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        let kind = match mode & libc::S_IFMT {
            libc::S_IFREG | 0 => empty_file(),
            libc::S_IFSOCK => Kind::Socket,
            _ => return reply.error(Errno::EPERM),
        };
        let made = self.make(parent, name, kind, mode);
        answer!(reply, made, attr => reply.entry(&REMEMBER, &attr, Generation(0)));
    }

    fn mkdir(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.make(parent, name, Kind::Directory, mode);
        answer!(reply, made, attr => reply.entry(&REMEMBER, &attr, Generation(0)));
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.disk()?.remove(Ino(parent.0), name), () => reply.ok());
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.disk()?.remove(Ino(parent.0), name), () => reply.ok());
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer!(reply, {
            let (mut disk, from, to) =
                (self.disk()?, (Ino(parent.0), name), (Ino(newparent.0), newname));
            if flags.contains(RenameFlags::RENAME_NOREPLACE) && disk.lookup(to.0, to.1).is_ok() {
                return Err(Errno::EEXIST);
            }
            disk.rename(from, to, flags.contains(RenameFlags::RENAME_EXCHANGE))
        }, () => reply.ok());
    }

    fn link(
        &self,
        _req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        answer!(reply, {
            let mut disk = self.disk()?;
            disk.link(Ino(ino.0), (Ino(newparent.0), newname))?;
            attributes(&disk, Ino(ino.0))
        }, attr => reply.entry(&REMEMBER, &attr, Generation(0)));
    }

    fn create(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        answer!(reply, self.open_or_create(parent, name, mode, flags), attr => {
            let handle = FileHandle(attr.ino.0);
            reply.created(&REMEMBER, &attr, Generation(0), handle, FopenFlags::empty());
        });
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        answer!(reply, {
            self.disk()?.node_mut(Ino(ino.0))?.opens += 1;
            Ok(())
        }, () => reply.opened(FileHandle(ino.0), FopenFlags::FOPEN_KEEP_CACHE));
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let work = || self.disk()?.read(Ino(ino.0), offset, size as usize);
        answer!(reply, work(), data => reply.data(&data));
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        answer!(reply, {
            let write = Change::Write { offset, data: data.to_vec() };
            // O_SYNC contains the bit of O_DSYNC.
            self.disk()?.modify(Ino(ino.0), vec![write], flags.0 & libc::O_DSYNC != 0)?;
            u32::try_from(data.len()).map_err(|_| Errno::EINVAL)
        }, written => reply.written(written));
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        // A close makes nothing durable.
        answer!(reply, self.disk().map(|_| ()), () => reply.ok());
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        answer!(reply, lock(&self.disk).release(Ino(ino.0)), () => reply.ok());
    }

    fn fsync(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        answer!(reply, self.disk()?.sync_file(Ino(ino.0)), () => reply.ok());
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        answer!(reply, self.list(ino), handle => {
            reply.opened(FileHandle(handle), FopenFlags::empty());
        });
    }

    fn readdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if let Err(error) = self.disk() {
            return reply.error(error);
        }
        let listings = lock(&self.listings);
        let listing = listings.get(&fh.0).map_or(&[][..], Vec::as_slice);
        for (next, (ino, kind, name)) in (1..).zip(listing).skip(usize::try_from(offset).unwrap()) {
            if reply.add(INodeNo(ino.0), next, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        lock(&self.listings).remove(&fh.0);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        answer!(reply, self.disk()?.sync_directory(Ino(ino.0)), () => reply.ok());
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let files = BLOCKS;
        reply.statfs(
            BLOCKS,
            BLOCKS,
            BLOCKS,
            files,
            files,
            BLOCK_BYTES,
            255,
            BLOCK_BYTES,
        );
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        answer!(reply, {
            let (mut disk, ino) = (self.disk()?, Ino(ino.0));
            let size = disk.size(ino)?;
            let changes = allocation(mode, offset, length, size).ok_or(Errno::EOPNOTSUPP)?;
            disk.modify(ino, changes, false)
        }, () => reply.ok());
    }
}
