//! The session's side of a lane's memory: requests go in, answers come out.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use headway_core::engine::{BatchAxes, Job};
use headway_core::error::{Error, ErrorKind};
use headway_core::timer;
use headway_core::value::{Memory, Owner};

use super::layout::{ANSWER, AREAS, CALL, COPIED, HEADER, HELD, Place, REQUEST, STOP, next, wake};
use super::memory::{Map, SharedFile, Span};
use super::message::{Results, get_results, put_jobs};
use super::values::{self, From, Payload, aligned};
use super::views::Views;
use super::wire::{Reader, Writer, garbled};
use crate::pool::Pool;

/// One end of the mailbox. Whoever runs on the lane has it to himself.
pub(super) struct Caller {
    requests: SharedFile,
    answers: Arc<SharedFile>,
    header: Arc<Map>,
    number: u32,
    /// Where requests are written; `None` when the process still uses the last one's memory.
    input: Option<Arc<Map>>,
    /// Where answers were found last, by area, so that a span is mapped once.
    areas: [Option<Arc<Map>>; AREAS + 1],
    views: Views,
}

/// An answer's values, which the process leaves alone until the last of them goes.
struct Held {
    header: Arc<Map>,
    area: usize,
    /// Of which process of this program: a fork has copies of the values, and they are not the last.
    generation: u64,
    _map: Arc<Map>,
}

/// One of them that lies in a span of its own.
struct Lent {
    _held: Arc<Held>,
    _map: Arc<Map>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.generation == timer::generation() {
            self.header.word32(HELD + 4 * self.area).store(0, Ordering::Release);
        }
    }
}

fn no_memory(error: &io::Error) -> Error {
    Error::new(ErrorKind::Engine, format!("no shared memory for the request: {error}"))
}

impl Caller {
    pub(super) fn create() -> io::Result<Caller> {
        let (requests, answers) = (SharedFile::create()?, Arc::new(SharedFile::create()?));
        let span = requests.grow(HEADER.len)?;
        let header = requests.map(span)?;
        let (areas, views) = Default::default();
        Ok(Caller { requests, answers, header, number: 0, input: None, areas, views })
    }

    pub(super) fn requests(&self) -> &SharedFile {
        &self.requests
    }

    pub(super) fn answers(&self) -> &Arc<SharedFile> {
        &self.answers
    }

    pub(super) fn header(&self) -> &Arc<Map> {
        &self.header
    }

    /// Writes a request and tells the process. Gives its number.
    pub(super) fn send(&mut self, axes: Option<&BatchAxes>, jobs: &[Job]) -> Result<u32, Error> {
        let (mut row, mut payload) = (Writer::default(), Payload::default());
        put_jobs(&mut row, &mut payload, axes, jobs)?;
        let base = aligned(row.0.len());
        let map = self.room(base + payload.len).map_err(|error| no_memory(&error))?;
        map.write(0, &row.0);
        // SAFETY: the jobs keep their inputs' memory as long as they are borrowed.
        unsafe { payload.write(&map, base) };
        let (table, payload) = (row.0.len() as u64, payload.len as u64);
        Place { span: map.span, table, payload, area: 0, kept: false }.put(&self.header, REQUEST);
        self.number = next(self.number);
        self.ring(self.number);
        Ok(self.number)
    }

    /// Asks the process to end once it has nothing to run.
    pub(super) fn stop(&self) {
        self.ring(STOP);
    }

    fn ring(&self, call: u32) {
        let word = self.header.word32(CALL);
        word.store(call, Ordering::Release);
        wake(word);
    }

    /// Memory for a request of so many bytes.
    fn room(&mut self, bytes: usize) -> io::Result<Arc<Map>> {
        if let Some(map) = self.input.as_ref().filter(|map| map.len() >= bytes) {
            return Ok(Arc::clone(map));
        }
        if let Some(small) = self.input.take() {
            self.requests.release(small.span);
        }
        let span = self.requests.grow(roomy(bytes))?;
        let map = self.requests.map(span)?;
        self.input = Some(Arc::clone(&map));
        Ok(map)
    }

    /// Reads the answer to the last request.
    pub(super) fn receive(&mut self, pool: &Arc<Pool>) -> Result<(Results, Option<String>), Error> {
        let place = Place::get(&self.header, ANSWER);
        if place.kept {
            self.input = None;
        }
        let area = usize::try_from(place.area).ok().filter(|&area| area <= AREAS);
        let area = area.ok_or_else(|| garbled("an answer in an area that does not exist"))?;
        let map = self.area(area, place.span)?;
        let outside = || garbled("an answer outside the lane's memory");
        let (table, len) = (size(place.table)?, size(place.payload)?);
        let row = map.read(0, table).ok_or_else(outside)?;
        let base = aligned(table);
        base.checked_add(len).filter(|&end| end <= map.len()).ok_or_else(outside)?;
        let row = &mut Reader::new(&row);
        let (answers, views) = (&self.answers, RefCell::new(&mut self.views));
        let view = |span, at, len| {
            let map = views.borrow_mut().of(answers, span).ok()?;
            map.holds(at, len).then_some(map)
        };
        if place.area == COPIED {
            let take = |at, len| map.copy_out(at, len, pool);
            let borrow = |span, at, len| view(span, at, len)?.copy_out(at, len, pool);
            return get_results(row, &From { map: &map, base, len, take: &take, borrow: &borrow });
        }
        let (header, generation) = (Arc::clone(&self.header), timer::generation());
        let held = Arc::new(Held { header, area, generation, _map: Arc::clone(&map) });
        let borrow = |span, at, len| {
            let map = view(span, at, len)?;
            let addr = map.addr(at);
            let owner: Owner = Arc::new(Lent { _held: Arc::clone(&held), _map: map });
            Some(Memory { addr, len, owner: Some(owner) })
        };
        let owner: Owner = Arc::clone(&held) as Owner;
        let take = values::in_place(&map, &owner);
        get_results(row, &From { map: &map, base, len, take: &take, borrow: &borrow })
    }

    fn area(&mut self, area: usize, span: Span) -> Result<Arc<Map>, Error> {
        if let Some(map) = self.areas[area].as_ref().filter(|map| map.span == span) {
            return Ok(Arc::clone(map));
        }
        let map = self.answers.map(span).map_err(|error| garbled(&error.to_string()))?;
        self.areas[area] = Some(Arc::clone(&map));
        Ok(map)
    }
}

/// Larger than asked for, so that the next request that is a little larger finds room. Untouched memory costs nothing.
pub(super) fn roomy(bytes: usize) -> u64 {
    const LARGE: usize = 64 << 20;
    if bytes < LARGE { bytes.next_power_of_two() as u64 } else { bytes.next_multiple_of(LARGE / 4) as u64 }
}

fn size(word: u64) -> Result<usize, Error> {
    usize::try_from(word).map_err(|_| garbled("a size that is none"))
}
