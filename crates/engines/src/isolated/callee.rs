//! The process's side of its lane's memory: requests come out, answers go in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headway_core::error::{Error, ErrorKind};
use headway_core::value::Owner;

use super::caller::roomy;
use super::heap::{Heap, SMALL};
use super::layout::{
    ANSWER, AREAS, BELL, CALL, COPIED, HEADER, HELD, Place, REPLY, REQUEST, STOP, TAKEN, sleep, spin, wake,
};
use super::memory::{Map, SharedFile};
use super::message::{Batch, Results, get_jobs, put_results};
use super::values::{self, From, Payload, aligned};
use super::wire::{Reader, Writer, garbled};

/// The other end of the mailbox.
pub(super) struct Callee {
    requests: Arc<SharedFile>,
    /// Where answers are written. Never freed: an engine may keep blocks of it as long as it likes.
    heap: &'static Heap,
    header: Arc<Map>,
    seen: u32,
    spin: Duration,
    /// The request that was taken.
    taken: Option<Arc<Input>>,
    /// Where requests came in last, so that a span is mapped once.
    input: Option<Arc<Map>>,
    areas: [Option<Arc<Map>>; AREAS + 1],
    /// What the values of each area's answer lie in that were not written into the area.
    lent: [Vec<Owner>; AREAS + 1],
}

impl Drop for Callee {
    fn drop(&mut self) {
        // Freed, they would be zeros in the arrays of a program that still holds them; the memory goes with the file.
        std::mem::forget(std::mem::take(&mut self.lent));
    }
}

/// A request's memory. Whoever keeps a value of it, keeps this.
struct Input {
    map: Arc<Map>,
    file: Arc<SharedFile>,
    /// Somebody kept a value beyond the answer: the session's side goes on elsewhere.
    left: AtomicBool,
}

impl Drop for Input {
    fn drop(&mut self) {
        if self.left.load(Ordering::Acquire) {
            self.file.release(self.map.span);
        }
    }
}

impl Callee {
    pub(super) fn new(requests: SharedFile, answers: SharedFile, spin: Duration) -> io::Result<Callee> {
        let header = requests.map(HEADER)?;
        let requests = Arc::new(requests);
        let heap = Box::leak(Box::new(Heap::new(answers)));
        let (areas, lent) = Default::default();
        Ok(Callee { requests, heap, header, seen: 0, spin, taken: None, input: None, areas, lent })
    }

    /// Memory out of which the other side takes answers where they lie.
    pub(super) fn heap(&self) -> &'static Heap {
        self.heap
    }

    /// Waits for a request; `None` when there will be no more.
    pub(super) fn next(&mut self) -> Option<Result<Batch, Error>> {
        let call = self.header.word32(CALL);
        let changed = || call.load(Ordering::Acquire) != self.seen;
        if !spin(self.spin, changed) {
            while !changed() {
                sleep(call, self.seen);
            }
        }
        self.seen = call.load(Ordering::Acquire);
        if self.seen == STOP {
            return None;
        }
        // From here on the request is this process's: should it die, it is not run again unasked.
        self.header.word32(TAKEN).store(self.seen, Ordering::Release);
        self.collect();
        Some(self.read())
    }

    /// Gives back what nobody on the other side has any more. The last answer has been read: this is the next request.
    fn collect(&mut self) {
        for area in 0..=AREAS {
            if !self.lent[area].is_empty() && !self.is_held(area) {
                self.lent[area].clear();
            }
        }
    }

    /// True while somebody on the other side has values of the area's answer.
    fn is_held(&self, area: usize) -> bool {
        area < AREAS && self.header.word32(HELD + 4 * area).load(Ordering::Acquire) != 0
    }

    fn read(&mut self) -> Result<Batch, Error> {
        let place = Place::get(&self.header, REQUEST);
        let map = match self.input.take().filter(|map| map.span == place.span) {
            Some(map) => map,
            None => self.requests.map(place.span).map_err(|error| garbled(&error.to_string()))?,
        };
        self.input = Some(Arc::clone(&map));
        let (table, len) = (place.table as usize, place.payload as usize);
        let row = map.read(0, table).ok_or_else(|| garbled("a request outside the lane's memory"))?;
        let base = aligned(table);
        let inside = base.checked_add(len).is_some_and(|end| end <= map.len());
        let len = if inside { len } else { 0 };
        let (file, left) = (Arc::clone(&self.requests), AtomicBool::new(false));
        let input = Arc::new(Input { map: Arc::clone(&map), file, left });
        self.taken = Some(Arc::clone(&input));
        let owner: Owner = input;
        let take = values::in_place(&map, &owner);
        let from = From { map: &map, base, len, take: &take, borrow: &|_, _, _| None };
        get_jobs(&mut Reader::new(&row), &from)
    }

    /// Answers the request that was taken. What it was made of must be gone, or its memory is given up.
    /// `release` lets go of what the results' end leaves behind.
    pub(super) fn answer(&mut self, results: Results, refusal: Option<&str>, release: impl FnOnce()) {
        let place = self.write(&results, refusal).or_else(|error| {
            let text = format!("no shared memory for the answer: {error}");
            let failed = results.iter().map(|_| Err(Error::new(ErrorKind::Engine, text.clone()))).collect();
            self.write(&failed, None)
        });
        drop(results);
        release();
        // Without memory for so little there is nothing to say; the session's side sees the process end.
        let Ok(mut place) = place else { panic!("no shared memory for an answer") };
        if let Some(input) = self.taken.take()
            && Arc::strong_count(&input) > 1
        {
            place.kept = true;
            self.input = None;
            input.left.store(true, Ordering::Release);
        }
        place.put(&self.header, ANSWER);
        self.header.word32(REPLY).store(self.seen, Ordering::Release);
        let bell = self.header.word32(BELL);
        bell.fetch_add(1, Ordering::Release);
        wake(bell);
    }

    fn write(&mut self, results: &Results, refusal: Option<&str>) -> io::Result<Place> {
        let (mut row, mut payload) = (Writer::default(), Payload::lending(self.heap));
        put_results(&mut row, &mut payload, results, refusal);
        let (base, len) = (aligned(row.0.len()), payload.len);
        let (area, map) = self.room(base + len, len <= SMALL && !payload.lends())?;
        map.write(0, &row.0);
        // SAFETY: the results keep their values' memory as long as they are borrowed.
        unsafe { payload.write(&map, base) };
        self.lent[area] = payload.into_lent();
        let table = row.0.len() as u64;
        Ok(Place { span: map.span, table, payload: len as u64, area: area as u64, kept: false })
    }

    /// An area that nobody holds values in.
    fn room(&mut self, bytes: usize, small: bool) -> io::Result<(usize, Arc<Map>)> {
        let fits = |area: usize| self.areas[area].as_ref().is_some_and(|map| map.len() >= bytes);
        let free = || (0..AREAS).filter(|&area| !self.is_held(area));
        let found = if small { None } else { free().find(|&area| fits(area)).or_else(|| free().next()) };
        let area = found.unwrap_or(COPIED as usize);
        if !fits(area) {
            if let Some(outgrown) = self.areas[area].take() {
                self.heap.give(outgrown);
            }
            self.areas[area] = Some(self.heap.take(roomy(bytes))?);
        }
        if area < AREAS {
            self.header.word32(HELD + 4 * area).store(1, Ordering::Release);
        }
        let map = self.areas[area].as_ref().map(Arc::clone);
        Ok((area, map.ok_or_else(|| io::Error::other("no area"))?))
    }
}
