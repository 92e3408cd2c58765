//! The two ends of a mailbox against each other, and the session's end against nonsense.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use headway_core::engine::Job;
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Data, Dims, Memory, Tensor, Value, Values};
use rustix::process::PidfdFlags;

use super::Limits;
use super::callee::Callee;
use super::caller::Caller;
use super::fleet::Fleet;
use super::layout::{ANSWER, CALL, REPLY, STOP};
use super::memory::SharedFile;
use super::process::{Called, Doom, Exit, LaneProcess};
use crate::pool::{Pool, draw_from};

fn ends() -> (Caller, Callee) {
    let caller = Caller::create().expect("memory");
    let fd = |file: &SharedFile| SharedFile::received(file.fd().try_clone_to_owned().expect("a descriptor"));
    let (requests, answers) = (fd(caller.requests()), fd(caller.answers()));
    let callee = Callee::new(requests, answers, Duration::ZERO).expect("a mapping");
    (caller, callee)
}

fn tensor(pool: &Arc<Pool>, bytes: &[u8]) -> Value {
    let dims = Dims::from_slice(&[bytes.len() as i64]);
    Value::Tensor(Tensor { dtype: DType::U8, dims, data: Data::Memory(pool.copy_memory(bytes)) })
}

fn job(values: impl IntoIterator<Item = Value>) -> Job {
    let inputs = Inputs::Feeds(values.into_iter().collect());
    Job { inputs, wanted: Wanted::All, options: None, result: None }
}

fn bytes(value: &Value) -> Vec<u8> {
    let Value::Tensor(Tensor { data: Data::Memory(Memory { addr, len, .. }), .. }) = value else {
        panic!("no plain tensor: {value:?}")
    };
    let from = std::ptr::with_exposed_provenance::<u8>(*addr);
    // SAFETY: the value keeps its memory.
    unsafe { std::slice::from_raw_parts(from, *len) }.to_vec()
}

/// Takes the request and gives its inputs back.
fn echo(callee: &mut Callee) {
    let batch = callee.next().expect("a request").expect("a good one");
    let results = batch.jobs.into_iter().map(|job| match job.inputs {
        Inputs::Feeds(values) => Ok(values),
        Inputs::Binding(_) => Err(Error::new(ErrorKind::Engine, "a binding")),
    });
    callee.answer(results.collect(), None, || {});
}

#[test]
fn what_goes_in_comes_out_whatever_its_size() {
    let (mut caller, mut callee) = ends();
    let pool = Pool::new(1 << 20);
    for size in [0, 1, 1000, 70_000, 3_000_000, 5, 200_000] {
        let given: Vec<u8> = (0..size).map(|n| (n * 7 % 251) as u8).collect();
        let jobs = [job([tensor(&pool, &given), Value::None]), job([tensor(&pool, &[1, 2])])];
        caller.send(None, &jobs).expect("sent");
        echo(&mut callee);
        let (results, refusal) = caller.receive(&pool).expect("an answer");
        assert_eq!(refusal, None);
        let values: Vec<Values> = results.into_iter().map(|one| one.expect("a result")).collect();
        assert_eq!(bytes(&values[0][0]), given);
        assert!(matches!(values[0][1], Value::None));
        assert_eq!(bytes(&values[1][0]), [1, 2]);
    }
}

#[test]
fn answers_that_are_held_are_not_written_over() {
    let (mut caller, mut callee) = ends();
    let pool = Pool::new(1 << 20);
    let mut held = Vec::new();
    for number in 0..20_u8 {
        caller.send(None, &[job([tensor(&pool, &vec![number; 100_000])])]).expect("sent");
        echo(&mut callee);
        let (mut results, _) = caller.receive(&pool).expect("an answer");
        held.push(results.remove(0).expect("a result"));
        if number % 3 == 0 {
            held.remove(0);
        }
    }
    drop((caller, callee));
    for values in held {
        let found = bytes(&values[0]);
        assert!(found.iter().all(|&byte| byte == found[0]));
    }
}

/// Takes the request and answers it with what an engine wrote into the lane's own memory.
fn lend(callee: &mut Callee, pool: &Arc<Pool>, given: &[u8], times: usize) -> usize {
    draw_from(Some(callee.heap()));
    callee.next().expect("a request").expect("a good one");
    let value = tensor(pool, given);
    draw_from(None);
    let at = addr(&value);
    callee.answer(vec![Ok(std::iter::repeat_n(value, times).collect())], None, || {});
    at
}

fn addr(value: &Value) -> usize {
    let Value::Tensor(Tensor { data: Data::Memory(memory), .. }) = value else { panic!("{value:?}") };
    memory.addr
}

fn ask(caller: &mut Caller, pool: &Arc<Pool>) {
    caller.send(None, &[job([tensor(pool, &[1])])]).expect("sent");
}

fn answer(caller: &mut Caller, pool: &Arc<Pool>) -> Values {
    caller.receive(pool).expect("an answer").0.remove(0).expect("a result")
}

#[test]
fn what_the_engine_wrote_is_read_where_it_lies() {
    let (mut caller, mut callee) = ends();
    let (ours, theirs) = (Pool::new(1 << 20), Pool::new(1 << 20));
    ask(&mut caller, &ours);
    let first = lend(&mut callee, &theirs, &[3; 100_000], 1);
    let held = answer(&mut caller, &ours);
    assert_eq!(bytes(&held[0]), [3; 100_000]);
    // SAFETY: the callee keeps the block while the answer is held, and this test is on both sides.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(first + 7).write(4) };
    assert_eq!(bytes(&held[0])[6..9], [3, 4, 3]);
    // Held, it is nobody else's; let go, it is used again, once the process looks.
    ask(&mut caller, &ours);
    let second = lend(&mut callee, &theirs, &[5; 100_000], 1);
    assert_ne!(first, second);
    let other = answer(&mut caller, &ours);
    drop(held);
    ask(&mut caller, &ours);
    assert_eq!(lend(&mut callee, &theirs, &[6; 100_000], 1), first);
    assert_eq!(bytes(&answer(&mut caller, &ours)[0]), [6; 100_000]);
    assert_eq!(bytes(&other[0]), [5; 100_000]);
}

#[test]
fn a_process_that_was_told_to_end_is_sent_nothing() {
    let caller = Caller::create().expect("memory");
    let header = Arc::clone(caller.header());
    let this = rustix::process::getpid();
    let pidfd = rustix::process::pidfd_open(this, PidfdFlags::empty()).expect("a descriptor");
    let process = LaneProcess::new(0, 0, Arc::new(pidfd), caller);
    process.retire(Doom::Retired);
    // Nobody waits for its answer.
    process.died(Exit::Status(0));
    let pool = Pool::new(0);
    let called = process.call(None, &[job([])], &pool, Duration::ZERO);
    assert!(matches!(called, Called::Died { taken: false }));
    assert_eq!(header.word32(CALL).load(Ordering::Acquire), STOP);
}

#[test]
fn lanes_whose_process_does_not_end_are_named() {
    let fleet = Fleet::new(3, Limits::default()).expect("a descriptor");
    let now = || Some(Instant::now());
    assert_eq!(fleet.orders(), (vec![0, 1, 2], false));
    fleet.lost(1, None, true, "its process does not start");
    assert_eq!(fleet.stop(now()), [0, 2]);
    // What was ordered too late is never started, so nobody waits for it.
    fleet.open(3);
    assert_eq!(fleet.orders(), (vec![], true));
    fleet.lost(2, None, false, "ended");
    assert_eq!(fleet.stop(now()), [0]);
    let theirs = Arc::clone(&fleet);
    let supervisor = std::thread::spawn(move || theirs.lost(0, None, false, "ended"));
    assert!(fleet.stop(None).is_empty());
    supervisor.join().expect("no panic");
}

#[test]
fn one_block_given_twice_is_two_arrays() {
    let (mut caller, mut callee) = ends();
    let pool = Pool::new(1 << 20);
    ask(&mut caller, &pool);
    lend(&mut callee, &pool, &[3; 100_000], 2);
    let values = answer(&mut caller, &pool);
    // SAFETY: the value keeps its memory, which is writable.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(addr(&values[0])).write(9) };
    assert_eq!((bytes(&values[0])[0], bytes(&values[1])[0]), (9, 3));
}

#[test]
fn blocks_beyond_the_areas_are_copied_and_come_back() {
    let (mut caller, mut callee) = ends();
    let (ours, theirs) = (Pool::new(1 << 20), Pool::new(8 << 20));
    let mut held = Vec::new();
    let mut blocks = std::collections::BTreeSet::new();
    for number in 0..40_u8 {
        ask(&mut caller, &ours);
        blocks.insert(lend(&mut callee, &theirs, &vec![number; 100_000], 1));
        held.push((number, answer(&mut caller, &ours)));
        if number % 5 == 0 {
            held.remove(0);
        }
    }
    // Eight that are held, the one that was copied last, and the next.
    assert!(blocks.len() <= 10, "{} blocks", blocks.len());
    drop((caller, callee, theirs));
    for (number, values) in held {
        assert_eq!(bytes(&values[0]), vec![number; 100_000]);
    }
}

#[test]
fn blocks_that_are_freed_leave_no_memory_and_no_growing_file() {
    let (caller, callee) = ends();
    draw_from(Some(callee.heap()));
    let before = caller.answers().resident();
    let mut largest = 0;
    for _ in 0..3 {
        for len in [100_000, 3_000_000, 70_000] {
            let pool = Pool::new(0);
            let blocks = [pool.alloc(len), pool.alloc(len)];
            for block in &blocks {
                // SAFETY: a block of this length, of nobody else.
                unsafe { std::ptr::write_bytes(block.as_ptr(), 1, len) };
            }
            assert!(caller.answers().resident() >= before + 2 * len as u64);
            drop(blocks);
            assert_eq!(caller.answers().resident(), before);
        }
        let len = rustix::fs::fstat(caller.answers().fd()).expect("a file").st_size;
        assert!(largest == 0 || len == largest, "{len} after {largest}");
        largest = len;
    }
    draw_from(None);
}

#[test]
fn inputs_that_are_kept_are_not_written_over() {
    let (mut caller, mut callee) = ends();
    let pool = Pool::new(1 << 20);
    let mut kept = Vec::new();
    for number in 0..5_u8 {
        caller.send(None, &[job([tensor(&pool, &[number; 100])])]).expect("sent");
        kept.push(callee.next().expect("a request").expect("a good one"));
        callee.answer(vec![Ok(Values::new())], None, || {});
        caller.receive(&pool).expect("an answer");
    }
    for (number, batch) in kept.iter().enumerate() {
        let Inputs::Feeds(values) = &batch.jobs[0].inputs else { panic!("no feeds") };
        assert_eq!(bytes(&values[0]), [number as u8; 100]);
    }
}

#[test]
fn opaque_values_are_refused_before_anything_is_sent() {
    let (mut caller, mut callee) = ends();
    let pool = Pool::new(1 << 20);
    let opaque = Value::Opaque(Arc::new(()));
    let refused = caller.send(None, &[job([opaque])]).expect_err("refused");
    assert_eq!(refused.kind, ErrorKind::Input);
    caller.send(None, &[job([tensor(&pool, &[9])])]).expect("sent");
    echo(&mut callee);
    assert!(caller.receive(&pool).is_ok());
}

/// A process may write anything anywhere in the memory that it shares: the session's end gives an error or some values,
/// and never reads outside.
#[test]
fn nonsense_is_an_error_and_nothing_worse() {
    let (mut caller, mut callee) = ends();
    let pool = Pool::new(1 << 20);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut good, mut bad) = (0, 0);
    for round in 0..4_000 {
        caller.send(None, &[job([tensor(&pool, &[1; 300]), tensor(&pool, &[2; 70_000])])]).expect("sent");
        match round % 2 {
            0 => echo(&mut callee),
            _ => _ = lend(&mut callee, &pool, &[3; 90_000], 2),
        }
        let header = Arc::clone(caller.header());
        let at = |word: u64| ANSWER + 8 * (word % 6) as usize;
        if random() % 3 == 0 {
            let word = header.word64(at(random()));
            let now = word.load(Ordering::Relaxed);
            let wrong =
                [random(), random() % 9, now ^ (1 << (random() % 64)), now.wrapping_add(64), u64::MAX];
            word.store(wrong[(random() % 5) as usize], Ordering::Relaxed);
        } else {
            // Somewhere in the table itself.
            let offset = header.word64(ANSWER).load(Ordering::Relaxed);
            let len = header.word64(ANSWER + 8).load(Ordering::Relaxed);
            let map = caller.answers().map(super::memory::Span { offset, len }).expect("the answer's span");
            let wrong = [random(), random() % 30, u64::MAX, 1 << (random() % 64)];
            map.write(8 * (random() % 24) as usize, &wrong[(random() % 4) as usize].to_le_bytes());
        }
        match caller.receive(&pool) {
            Ok((results, _)) => {
                good += 1;
                for value in results.into_iter().flatten().flatten() {
                    if matches!(&value, Value::Tensor(Tensor { data: Data::Memory(_), .. })) {
                        bytes(&value);
                    }
                }
            }
            Err(error) => {
                bad += 1;
                assert_eq!(error.kind, ErrorKind::Engine);
            }
        }
        assert!(header.word32(REPLY).load(Ordering::Relaxed) > 0);
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}
