//! The disk: others keep it busy, and it is full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Fault, Whim};
use crate::chaos::namespaces;
use crate::chaos::workload::Queue;
use crate::chaos::world::World;
use crate::{Failure, Result, account, command, scratch};

pub const FAULTS: &[Fault] = &[
    Fault::new("resources", "disk kept busy", starve_of_io),
    Fault::new("resources", "disk full", disk_full).needing(cannot_mount),
];

/// Keeps the disk busy, and says so when no commit took longer for that.
fn starve_of_io(world: &World, random: &mut Whim) -> Result<usize> {
    const COMMITS: usize = 20;
    const SLOWER: f64 = 1.5;
    let mut session = world.session()?;
    let mut commit = || {
        let begun = Instant::now();
        let done = session.batch_execute("select pg_logical_emit_message(true, 'chaos', 'x')");
        done.map_err(|error| Failure::because("could not commit", format!("{error:?}")))?;
        Ok(begun.elapsed())
    };
    let at_rest = (0..COMMITS).map(|_| commit()).collect::<Result<Vec<_>>>()?;
    let period = Duration::from_millis(random.random.u64(3_000..5_000));
    let starved = keep_disk_busy(period, || {
        std::thread::sleep(Duration::from_millis(10));
        commit()
    })?;
    let (before, meanwhile) = (median(at_rest), median(starved));
    if meanwhile < before.mul_f64(SLOWER) {
        println!(
            "`disk kept busy` slowed nothing: a commit took {before:.1?} before, and {meanwhile:.1?} meanwhile"
        );
    }
    Ok(0)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Writes and syncs next to the server's files, a file of bounded size from each of some threads: much at a time, and
/// little as often as can be. Meanwhile does something again and again, and gives what came of it.
fn keep_disk_busy<T>(period: Duration, mut work: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    const CHUNKS: [usize; 4] = [4 << 20, 4 << 20, 4 << 10, 4 << 10];
    const MOST: usize = 16;
    let folder = scratch::folder();
    let end = Instant::now() + period;
    let done = std::thread::scope(|scope| {
        for (number, chunk) in CHUNKS.into_iter().enumerate() {
            let path = folder.join(number.to_string());
            scope.spawn(move || {
                let zeros = vec![0; chunk];
                while Instant::now() < end {
                    let Ok(mut file) = File::create(&path) else { return };
                    for _ in 0..MOST {
                        let _ = file.write_all(&zeros).and_then(|()| file.sync_all());
                        if Instant::now() >= end {
                            break;
                        }
                    }
                }
            });
        }
        let mut done = Vec::new();
        while Instant::now() < end {
            done.push(work()?);
        }
        Ok(done)
    });
    let _ = std::fs::remove_dir_all(folder);
    done
}

fn cannot_mount() -> Option<String> {
    (!namespaces::has_own_mounts()).then(|| "it mounts a small disk, which only root may do".to_owned())
}

/// What of the tables may be put into the memory that a small disk is made of.
const MOST_BYTES: i64 = 128 << 20;
/// Room to grow until the disk is filled.
const ROOM_BYTES: i64 = 32 << 20;

/// Where messages are, and where the worker writes what becomes of them: tables, then indexes, with their sizes. Of
/// the history, what takes rows now.
const WRITTEN_TO: &str = "
    with written(oid) as (
      select name::regclass
      from unnest(array['hooks.message', 'hooks.dead_letter', 'hooks.message_log_default', 'hooks.attempt_default']) as name
      union all
      select to_regclass('hooks.' || hooks.history_partition(name, (now() at time zone 'UTC')::date))
      from unnest(array['message_log', 'attempt']) as name)
    select c.oid::regclass::text, c.relkind::text, pg_table_size(c.oid)
    from written as w
    left join pg_index as i on i.indrelid = w.oid
    join pg_class as c on c.oid in (w.oid, i.indexrelid)
    group by c.oid, c.relname, c.relkind
    order by c.relkind = 'i', c.relname = 'message' desc, c.relname";

/// What a server says whose disk is full, and what our worker does then.
const FULL: &str = "No space left on device";
const RECORDING: &str = "rests from recording results";

/// Puts what is written to on a small disk of its own, fills that, and moves it back.
fn disk_full(world: &World, random: &mut Whim) -> Result<usize> {
    let refusals = || {
        let log = world.cluster().log();
        let refused = log.lines().filter(|line| line.contains(FULL));
        let of_worker = refused.clone().filter(|line| line.contains(RECORDING)).count();
        (refused.count(), of_worker)
    };
    let mut client = world.session()?;
    let moved = to_be_moved(&mut client)?;
    let mut run = |statement: &str| {
        let done = client.batch_execute(statement);
        done.map_err(|error| Failure::because(statement, format!("{error:?}")))
    };
    let bytes: i64 = moved.iter().map(|relation| relation.bytes).sum();
    let disk = SmallDisk::mount(2 * bytes + ROOM_BYTES)?;
    let folder = disk.folder.display();
    run(&format!("create tablespace small location '{folder}'"))?;
    // Each by itself, so that nobody waits long and no two wait for each other.
    moved
        .iter()
        .try_for_each(|relation| run(&relation.to_tablespace("small")))?;
    let before = refusals();
    let filler = disk.fill();
    // The free room in the pages is soon used up.
    for _ in 0..100 {
        let _ = world.pulse(Queue::Pulse);
        random.wait(30..50);
    }
    let _ = std::fs::remove_file(filler);
    let after = refusals();
    moved
        .iter()
        .try_for_each(|relation| run(&relation.to_tablespace("pg_default")))?;
    // Files that were moved away are there until the next checkpoint.
    run("checkpoint")?;
    run("drop tablespace small")?;
    if after.0 == before.0 {
        return Err(Failure::new("nobody came upon the full disk"));
    }
    if after.1 == before.1 {
        println!("`disk full` hit clients alone: the worker recorded all results");
    }
    Ok(0)
}

struct Relation {
    name: String,
    kind: &'static str,
    bytes: i64,
}

impl Relation {
    fn to_tablespace(&self, tablespace: &str) -> String {
        format!("alter {} {} set tablespace {tablespace}", self.kind, self.name)
    }
}

/// The relations that fit.
fn to_be_moved(client: &mut postgres::Client) -> Result<Vec<Relation>> {
    let rows = client.query(WRITTEN_TO, &[]);
    let rows = rows.map_err(|error| Failure::because("could not look at tables", format!("{error:?}")))?;
    let mut room = MOST_BYTES;
    let relations = rows.iter().map(|row| Relation {
        name: row.get(0),
        kind: if row.get::<_, &str>(1) == "i" {
            "index"
        } else {
            "table"
        },
        bytes: row.get(2),
    });
    let fits = |relation: &Relation| {
        let fits = relation.bytes <= room;
        room -= if fits { relation.bytes } else { 0 };
        fits
    };
    Ok(relations.filter(fits).collect())
}

/// A tmpfs, unmounted when dropped.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    fn mount(bytes: i64) -> Result<SmallDisk> {
        let folder = scratch::folder();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]);
        command::output(mount.arg(&folder))?;
        account::hand_over(&folder)?;
        Ok(SmallDisk { folder })
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.folder.join("filler");
        let zeros = vec![0; 1 << 16];
        if let Ok(mut file) = File::create(&path) {
            while file.write_all(&zeros).is_ok() {}
            // The last page as well.
            while file.write_all(&[0]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}

fn unmount(folder: &Path) {
    let _ = command::output(Command::new("umount").arg("--lazy").arg(folder));
}
