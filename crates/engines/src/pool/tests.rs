use std::sync::Mutex;
use std::thread;

use super::*;

/// The live counter is global: tests that read it or take blocks run one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn fill(block: &Block, byte: u8) {
    // SAFETY: the block has that many bytes and the test shares it with nobody.
    unsafe { ptr::write_bytes(block.as_ptr(), byte, block.len()) };
}

#[test]
fn blocks_are_aligned_and_writable_to_the_last_byte() {
    let _alone = alone();
    let pool = Pool::new(1 << 20);
    for len in [0, 1, 63, 64, 65, 1000, 4096, 100_000] {
        let block = pool.alloc(len);
        assert_eq!(block.as_ptr().addr() % 64, 0);
        assert_eq!(block.len(), len);
        fill(&block, 7);
    }
}

#[test]
fn a_freed_block_is_used_again() {
    let _alone = alone();
    let pool = Pool::new(1 << 20);
    let first = pool.alloc(1000).as_ptr().addr();
    assert_eq!(pool.alloc(990).as_ptr().addr(), first);
    let entered = pool.enter().expect("nobody else uses it");
    let second = pool.alloc(5000).as_ptr().addr();
    let again = pool.alloc(5000);
    assert_eq!(again.as_ptr().addr(), second);
    assert!(entered.gave(second) && !entered.gave(first));
}

#[test]
fn the_last_clone_gives_it_back() {
    let _alone = alone();
    let before = live_blocks();
    let pool = Pool::new(1 << 20);
    let block = pool.alloc(100);
    let clone = block.clone();
    drop(block);
    assert_eq!(pool.cached_bytes(), 0);
    fill(&clone, 1);
    drop(clone);
    assert!(pool.cached_bytes() >= 100);
    drop(pool);
    assert_eq!(live_blocks(), before);
}

#[test]
fn raw_counts_add_up() {
    let _alone = alone();
    let before = live_blocks();
    let pool = Pool::new(0);
    let raw = pool.alloc(64).into_raw();
    // SAFETY: `raw` holds a count that nobody has taken back.
    let shared = unsafe { Block::share_raw(raw) };
    // SAFETY: taken back once.
    drop(unsafe { Block::from_raw(raw) });
    fill(&shared, 3);
    assert_eq!(live_blocks(), before + 1);
    drop(shared);
    assert_eq!(live_blocks(), before);
}

#[test]
fn the_cache_is_bounded_and_trimmed() {
    let _alone = alone();
    let before = live_blocks();
    let pool = Pool::new(10_000);
    let blocks: Vec<Block> = (0..20).map(|_| pool.alloc(1024)).collect();
    drop(blocks);
    assert!(pool.cached_bytes() <= 10_000);
    assert!(pool.cached_bytes() >= 9 * 1024);
    pool.trim();
    assert_eq!((pool.cached_bytes(), live_blocks()), (0, before));
    let entered = pool.enter().expect("nobody else uses it");
    drop((0..20).map(|_| pool.alloc(1024)).collect::<Vec<_>>());
    drop(entered);
    assert!(pool.cached_bytes() <= 10_000);
    pool.close();
    drop(pool.alloc(1024));
    assert_eq!((pool.cached_bytes(), live_blocks()), (0, before));
}

#[test]
fn what_an_epoch_did_not_need_goes_back_to_the_system() {
    let _alone = alone();
    let pool = Pool::new(1 << 20);
    drop((0..8).map(|_| pool.alloc(4096)).collect::<Vec<_>>());
    for _ in 0..1024 {
        let _entered = pool.enter().expect("nobody else uses it");
        drop(pool.alloc(4096));
    }
    assert_eq!(pool.cached_bytes(), 4096);
}

#[test]
fn memory_outlives_the_pool_handle_and_crosses_threads() {
    let _alone = alone();
    let before = live_blocks();
    let pool = Pool::new(1 << 20);
    let memory = pool.copy_memory(&[1, 2, 3]);
    drop(pool);
    let sum = thread::spawn(move || {
        let memory = memory;
        // SAFETY: the memory's owner is alive and nobody writes to it.
        let bytes = unsafe {
            std::slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(memory.addr), memory.len)
        };
        bytes.iter().map(|&b| u32::from(b)).sum::<u32>()
    });
    assert_eq!(sum.join().expect("no panic"), 6);
    assert_eq!(live_blocks(), before);
}

#[test]
fn one_user_at_a_time() {
    let _alone = alone();
    let pool = Pool::new(1 << 20);
    let entered = pool.enter();
    assert!(entered.is_some() && pool.enter().is_none());
    // Found held: from the system, and back over the return stack.
    let other = Arc::clone(&pool);
    thread::spawn(move || drop(other.alloc(64))).join().expect("no panic");
    assert_eq!(pool.cached_bytes(), 64);
    drop(entered);
    assert!(pool.enter().is_some());
}

#[test]
fn nested_users_come_back_to_their_own() {
    let _alone = alone();
    let (outer, inner) = (Pool::new(1 << 20), Pool::new(1 << 20));
    let shared = Pool::new(1 << 20);
    let on_outer = outer.enter().expect("free");
    {
        let on_inner = inner.enter().expect("free");
        let block = alloc_here(&shared, 10).expect("memory");
        assert!(on_inner.gave(block.as_ptr().addr()) && !on_outer.gave(block.as_ptr().addr()));
    }
    let block = alloc_here(&shared, 10).expect("memory");
    assert!(on_outer.gave(block.as_ptr().addr()));
    drop(on_outer);
    let block = alloc_here(&shared, 10).expect("memory");
    drop((block, outer));
    assert_eq!(shared.cached_bytes(), 64);
}

#[test]
fn threads_free_each_others_blocks_and_nothing_leaks() {
    let _alone = alone();
    let before = live_blocks();
    let rounds = if cfg!(miri) { 40 } else { 20_000 };
    let pool = Pool::new(1 << 16);
    let (send, receive) = std::sync::mpsc::sync_channel::<Block>(32);
    let consumer = thread::spawn(move || {
        for block in receive {
            // SAFETY: the producer wrote the block before it sent it.
            let (first, last) = unsafe { (*block.as_ptr(), *block.as_ptr().add(block.len() - 1)) };
            assert_eq!(first, last);
        }
    });
    for round in 0..rounds {
        let entered = pool.enter().expect("only this thread enters");
        let block = pool.alloc(1 + round % 3000);
        fill(&block, round as u8);
        let clone = block.clone();
        send.send(block).expect("the consumer lives");
        drop(clone);
        drop(entered);
    }
    drop(send);
    consumer.join().expect("every block was whole");
    drop(pool);
    assert_eq!(live_blocks(), before);
}

#[test]
fn shared_pools_serve_many_threads() {
    let _alone = alone();
    let before = live_blocks();
    let rounds = if cfg!(miri) { 20 } else { 5_000 };
    let pool = Pool::new(1 << 16);
    thread::scope(|scope| {
        for seed in 0..3_usize {
            let pool = Arc::clone(&pool);
            scope.spawn(move || {
                let mut kept = Vec::new();
                for round in 0..rounds {
                    let block = pool.alloc(64 + (round * 97 + seed) % 2000);
                    fill(&block, seed as u8);
                    kept.push(block);
                    if kept.len() > 5 {
                        kept.swap_remove(round % 5);
                    }
                }
                // SAFETY: every block was filled by this thread.
                assert!(kept.iter().all(|block| unsafe { *block.as_ptr() } == seed as u8));
            });
        }
    });
    drop(pool);
    assert_eq!(live_blocks(), before);
}
