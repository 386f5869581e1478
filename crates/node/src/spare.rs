//! Whether a city has time or room to spare: then chains may take more of it than the hub gave them.
//!
//! What is sold is a share, and what nobody uses is lent: a chain is held to its rate only while the process uses most of its
//! cores, and to its bytes only while most of the disk is full. Looked at when a chain asks, cores ten times a second at most and
//! the disk once in ten seconds; nothing runs for it.

use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::statvfs;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// How long a look holds.
const LOOKS: Duration = Duration::from_millis(100);
/// Above this part of all cores, a city has no time to spare.
const BUSY: f64 = 0.75;

/// How long a look at the disk holds.
pub(crate) const DISK_LOOKS: Duration = Duration::from_secs(10);
/// Where less than this part of the disk is free, in percent, a city has no room to spare.
const FREE_PERCENT: u64 = 25;

/// A city's time, and its room.
#[derive(Debug)]
pub(crate) struct Spare {
    /// The data folder.
    folder: PathBuf,
    /// When the disk was looked at, and whether it had room. A lock for the same reason as the other's.
    disk: Mutex<Option<(Instant, bool)>>,
    /// Whether it is lent at all.
    lends: bool,
    cores: f64,
    /// A lock because drivers ask on several threads; held for a look at a clock.
    last: Mutex<Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    used: Duration,
    is_spare: bool,
}

impl Spare {
    pub(crate) fn new(folder: PathBuf, lends: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            folder,
            disk: Mutex::new(None),
            lends,
            // A machine has fewer than 2^32 cores.
            cores: f64::from(u32::try_from(cores).unwrap_or(u32::MAX)),
            last: Mutex::new(Look {
                at: Instant::now(),
                used: processor_time(),
                is_spare: true,
            }),
        }
    }

    /// Whether there are bytes to lend. A disk that cannot be asked has none.
    pub(crate) fn has_room(&self) -> bool {
        if !self.lends {
            return false;
        }
        let mut disk = self.disk.lock();
        match *disk {
            Some((at, has_room)) if at.elapsed() < DISK_LOOKS => has_room,
            _ => {
                let has_room = statvfs(&self.folder).is_ok_and(|it| {
                    // What is kept for the administrator is neither used nor free.
                    let used = it.f_blocks.saturating_sub(it.f_bfree);
                    is_roomy(it.f_bavail, used.saturating_add(it.f_bavail))
                });
                *disk = Some((Instant::now(), has_room));
                has_room
            }
        }
    }

    /// Whether there is time to lend.
    pub(crate) fn has(&self) -> bool {
        if !self.lends {
            return false;
        }
        let mut last = self.last.lock();
        let passed = last.at.elapsed();
        if passed >= LOOKS {
            let used = processor_time();
            *last = last.after(passed, used, self.cores);
        }
        last.is_spare
    }
}

impl Look {
    fn after(self, passed: Duration, used: Duration, cores: f64) -> Self {
        let busy = used.saturating_sub(self.used).as_secs_f64();
        Self {
            at: self.at + passed,
            used,
            is_spare: busy < passed.as_secs_f64() * cores * BUSY,
        }
    }
}

/// Of this many blocks of a disk so many are free.
fn is_roomy(free: u64, all: u64) -> bool {
    u128::from(free) * 100 >= u128::from(all) * u128::from(FREE_PERCENT)
}

/// Of all threads of the process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Look, Spare, is_roomy};

    #[test]
    fn time_is_spare_below_three_quarters_of_all_cores() {
        let look = Look {
            at: Instant::now(),
            used: Duration::from_secs(50),
            is_spare: true,
        };
        let second = Duration::from_secs(1);
        for (used_ms, is_spare) in [(0, true), (1_490, true), (1_510, false), (2_000, false)] {
            let used = look.used + Duration::from_millis(used_ms);
            assert_eq!(
                look.after(second, used, 2.0).is_spare,
                is_spare,
                "{used_ms}"
            );
        }
    }

    #[test]
    fn who_does_not_lend_has_none() {
        let spare = |lends| Spare::new(std::env::temp_dir(), lends);
        assert!(!spare(false).has() && !spare(false).has_room());
        assert!(spare(true).has(), "nothing was measured yet");
    }

    #[test]
    fn room_is_spare_while_a_quarter_of_the_disk_is_free() {
        for (free, all, roomy) in [
            (25, 100, true),
            (24, 100, false),
            (0, 1, false),
            (u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(is_roomy(free, all), roomy, "{free} of {all}");
        }
        assert!(!Spare::new("/no/such/folder".into(), true).has_room());
    }
}
