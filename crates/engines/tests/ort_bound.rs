//! Requests that bring the places of their outputs.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use headway_core::engine::{Engine, Job, Lane};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, OwnerBox, Wanted};
use headway_core::value::{DType, Data, Tensor, Value, Values};
use headway_engines::ort::{Bound, DeviceValue, Places, Target, Turn};
use headway_engines::pool::live_blocks;
use support::*;

/// What stays with the caller.
struct Ends {
    taken: Arc<AtomicBool>,
    results: Arc<Mutex<Option<Values>>>,
}

impl Ends {
    fn results(&self) -> Option<Values> {
        self.results.lock().expect("nobody panicked").clone()
    }

    fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }
}

fn bound(inputs: impl IntoIterator<Item = Value>, targets: Vec<Target>) -> (Bound, Ends) {
    let taken = Arc::new(AtomicBool::new(false));
    let turn = Turn::take(&taken).expect("nobody has it");
    let results = Arc::new(Mutex::new(None));
    let inputs = inputs.into_iter().collect();
    (
        Bound {
            places: Arc::new(Places::new(inputs, targets)),
            turn,
            results: Arc::clone(&results),
            silent: false,
        },
        Ends { taken, results },
    )
}

fn run_bound(lane: &mut dyn Lane, bound: Bound, wanted: Wanted) -> Result<Values, Error> {
    let inputs = Inputs::Binding(OwnerBox(Arc::new(bound)));
    let mut jobs = [Job { inputs, wanted, options: None, result: None }];
    lane.run(&mut jobs);
    let [job] = jobs;
    job.result.expect("a lane leaves a result")
}

/// Runs on a fresh lane and looks at what the caller finds afterwards.
fn run_fresh(
    model: &str,
    inputs: impl IntoIterator<Item = Value>,
    targets: Vec<Target>,
    wanted: Wanted,
) -> Result<Values, Error> {
    let engine = load(model);
    let mut lane = engine.open_lane(0).expect("a lane");
    // What is all in memory of the caller's needs no telling.
    let told = targets.iter().any(|target| !matches!(target, Target::Into(_)));
    let (bound, ends) = bound(inputs, targets);
    assert!(ends.is_taken());
    let result = run_bound(lane.as_mut(), bound, wanted);
    assert!(!ends.is_taken());
    assert_eq!(ends.results().is_some(), result.is_ok() && told);
    result
}

/// Memory with a guard on both sides: `dims` of floats in the middle of a larger buffer.
struct Guarded(Value);

const GUARD: usize = 64;

impl Guarded {
    fn new(count: usize) -> Guarded {
        Guarded(floats(&[(count + 2 * GUARD) as i64], &vec![-7.0; count + 2 * GUARD]))
    }

    fn target(&self, dims: &[i64]) -> Target {
        Target::Into(self.tensor(dims))
    }

    fn tensor(&self, dims: &[i64]) -> Tensor {
        let mut tensor = as_tensor(&self.0).clone();
        tensor.dims = dims.iter().copied().collect();
        let Data::Memory(memory) = &mut tensor.data else { unreachable!("floats are plain") };
        memory.addr += GUARD * 4;
        memory.len -= 2 * GUARD * 4;
        tensor
    }

    fn write(&self, middle: &[f32]) {
        let Data::Memory(memory) = self.tensor(&[middle.len() as i64]).data else {
            unreachable!("floats are plain")
        };
        let to = std::ptr::with_exposed_provenance_mut::<f32>(memory.addr);
        // SAFETY: the buffer's own memory, as long as told, which nobody reads meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(middle.as_ptr(), to, middle.len()) };
    }

    fn middle(&self) -> Vec<f32> {
        let all = floats_of(&self.0);
        let end = all.len() - GUARD;
        assert!(
            all[..GUARD].iter().chain(&all[end..]).all(|&guard| guard == -7.0),
            "written past the memory"
        );
        all[GUARD..end].to_vec()
    }
}

fn some(indices: &[u32]) -> Wanted {
    Wanted::Some(indices.iter().copied().collect())
}

#[test]
fn outputs_go_where_the_binding_says() {
    let memory = Guarded::new(3);
    let x = floats(&[3], &[1.0, 2.0, 3.0]);
    let targets = vec![Target::Fresh, memory.target(&[3]), Target::Fresh];
    let values = run_fresh("three", [x.clone()], targets, Wanted::All).expect("success");
    assert_eq!((floats_of(&values[0]), floats_of(&values[2])), (vec![2.0, 4.0, 6.0], vec![-1.0, -2.0, -3.0]));
    assert_eq!(memory.middle(), [1.0, 4.0, 9.0]);
    assert_eq!(floats_of(&values[1]), [1.0, 4.0, 9.0]);
    // The value is the memory that was given.
    spoil(&values[1]);
    assert!(memory.middle()[0].is_nan());

    let memory = Guarded::new(3);
    let values = run_fresh("three", [x], vec![memory.target(&[3])], some(&[2])).expect("success");
    assert_eq!((values.len(), memory.middle()), (1, vec![-1.0, -2.0, -3.0]));
}

#[test]
fn what_the_first_run_made_serves_the_later_ones() {
    let (engine, other) = (load("three"), load("three"));
    let (input, memory) = (Guarded::new(3), Guarded::new(3));
    let inputs = Values::from_iter([Value::Tensor(input.tensor(&[3]))]);
    let places = Arc::new(Places::new(inputs, vec![Target::Fresh, memory.target(&[3])]));
    let once = |lane: &mut dyn Lane, wanted: Wanted| {
        let turn = Turn::take(&Arc::new(AtomicBool::new(false))).expect("nobody has it");
        run_bound(
            lane,
            Bound { places: Arc::clone(&places), turn, results: Arc::default(), silent: false },
            wanted,
        )
    };
    let mut lanes: Vec<_> = (0..2).map(|id| engine.open_lane(id).expect("a lane")).collect();
    let mut fresh = Vec::new();
    for round in 0..4_u8 {
        let x: Vec<f32> = (0..3_u8).map(|at| f32::from(round + at)).collect();
        input.write(&x);
        let values = once(lanes[usize::from(round % 2)].as_mut(), some(&[0, 1])).expect("success");
        assert_eq!(memory.middle(), x.iter().map(|x| x * x).collect::<Vec<_>>());
        fresh.push((values[0].clone(), x));
    }
    // A new value in each run: none was overwritten by the next.
    for (value, x) in &fresh {
        assert_eq!(floats_of(value), x.iter().map(|x| x + x).collect::<Vec<_>>());
    }
    // Another session's lane makes its own; what is kept is not its.
    let mut stranger = other.open_lane(0).expect("a lane");
    drop((lanes, engine));
    assert!(once(stranger.as_mut(), some(&[0, 1])).is_ok());
}

#[test]
fn outputs_without_an_operator_of_their_own_are_written_too() {
    // The input itself, the weight itself, and a copy of the weight that the optimiser may fold away.
    let (input, minus) = (Guarded::new(2), Guarded::new(2));
    let targets = vec![input.target(&[2]), minus.target(&[2])];
    run_fresh("passthrough", [floats(&[2], &[1.0, 2.0])], targets, Wanted::All).expect("success");
    assert_eq!((input.middle(), minus.middle()), (vec![1.0, 2.0], vec![-1.0, -2.0]));
    let places = [Guarded::new(3), Guarded::new(3), Guarded::new(3)];
    let targets = places.iter().map(|place| place.target(&[3])).collect();
    run_fresh("alias", [floats(&[3], &[1.0; 3])], targets, Wanted::All).expect("success");
    let found = places.each_ref().map(Guarded::middle);
    assert_eq!(found, [vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0], vec![2.0, 3.0, 4.0]]);
    let memory = Guarded::new(0);
    run_fresh("identity_float", [floats(&[0], &[])], vec![memory.target(&[0])], Wanted::All)
        .expect("success");
    assert_eq!(memory.middle(), [0.0; 0]);
}

#[test]
fn memory_of_another_shape_is_refused_and_nothing_beside_it_written() {
    let eye: Vec<f32> = (0..256).map(|at| f32::from(u8::from(at % 17 == 0))).collect();
    let cases: [(&str, Vec<Value>, usize); 7] = [
        ("three", vec![floats(&[8], &[1.0; 8])], 3),
        ("passthrough", vec![floats(&[8], &[1.0; 8])], 3),
        ("alias", vec![floats(&[3], &[1.0; 3])], 2),
        ("identity_float", vec![floats(&[8], &[1.0; 8])], 0),
        ("identity_float", vec![floats(&[3], &[1.0; 3])], 8),
        ("grow", vec![ints(&[1], &[1_000])], 3),
        ("loop", vec![ints(&[], &[3]), floats(&[16, 16], &eye)], 3),
    ];
    for (model, inputs, room) in cases {
        let memory = Guarded::new(room);
        let result = run_fresh(model, inputs, vec![memory.target(&[room as i64])], some(&[0]));
        let error = result.expect_err(model);
        assert!(matches!(error.kind, ErrorKind::Engine | ErrorKind::Input), "{model}: {error}");
        assert!(memory.middle().iter().all(|&number| number == -7.0), "{model}");
    }
}

#[test]
fn what_cannot_be_a_place_is_the_callers_fault() {
    let text = strings(&[1], &["a"]);
    let whole = as_tensor(&text).clone();
    let mut short = Guarded::new(3).tensor(&[3]);
    short.dims = [4].into_iter().collect();
    let of_ints = as_tensor(&ints(&[3], &[0; 3])).clone();
    let x = || floats(&[3], &[0.0; 3]);
    let bytes = as_tensor(&tensor(DType::String, &[1], b"a")).clone();
    let cases = [
        ("identity_string", text.clone(), Target::Into(whole), "strings cannot be put"),
        ("identity_string", text, Target::Into(bytes), "model gives tensor(string)"),
        ("identity_float", x(), Target::Into(short), "12 bytes of memory do not fit the dimensions [4]"),
        (
            "identity_float",
            x(),
            Target::Into(of_ints),
            "the memory is for tensor(int64), the model gives tensor(float)",
        ),
        ("optional", x(), Guarded::new(3).target(&[3]), "this is optional(tensor(float))"),
    ];
    for (model, input, target, expected) in cases {
        let error = run_fresh(model, [input], vec![target], Wanted::All).expect_err("no place");
        assert_eq!(error.kind, ErrorKind::Input, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
    let error = run_fresh("three", [x()], vec![Target::Fresh], Wanted::All).expect_err("too few");
    assert_eq!(error.message, "a binding of 1 places for 3 outputs");
    let twice = run_fresh("three", [x()], vec![Target::Fresh, Target::Fresh], some(&[1, 1]));
    assert_eq!(twice.expect_err("twice").message, "output number 1 is bound twice");
    let engine = load("three");
    let inputs = Inputs::Binding(OwnerBox(Arc::new(1)));
    let mut jobs = [Job { inputs, wanted: Wanted::All, options: None, result: None }];
    engine.open_lane(0).expect("a lane").run(&mut jobs);
    let error = jobs[0].result.take().expect("a result").expect_err("not a binding");
    assert_eq!(error.kind, ErrorKind::Input);
}

#[test]
fn a_binding_that_never_runs_gives_its_turn_back() {
    let (bound, ends) = bound([], Vec::new());
    assert!(Turn::take(&ends.taken).is_none(), "one at a time");
    drop(bound);
    assert!(!ends.is_taken() && ends.results().is_none());
    let turn = Turn::take(&ends.taken).expect("free again");
    turn.end();
    let next = Turn::take(&ends.taken).expect("free again");
    // The earlier one's end does not end the later one.
    drop(turn);
    assert!(ends.is_taken());
    drop(next);
}

fn on_device(value: &Value) -> Arc<DeviceValue> {
    let Value::Opaque(owner) = value else { panic!("expected a device value, got {value:?}") };
    Arc::clone(owner).downcast().expect("a device value")
}

fn cpu() -> Target {
    Target::Device("Cpu".into(), 0)
}

#[test]
fn outputs_can_stay_on_a_device_and_be_fed_again() {
    let engine = load("three");
    let mut lane = engine.open_lane(0).expect("a lane");
    let memory = Guarded::new(3);
    let (request, ends) =
        bound([floats(&[3], &[1.0, 2.0, 3.0])], vec![cpu(), memory.target(&[3]), Target::Fresh]);
    let values = run_bound(lane.as_mut(), request, Wanted::All).expect("success");
    assert!(!ends.is_taken() && ends.results().is_some());
    let twice = on_device(&values[0]);
    assert_eq!((twice.dtype(), twice.dims(), twice.byte_len()), (DType::F32, [3].as_slice(), 12));
    assert_eq!((twice.device_name(), twice.device_id()), ("Cpu", 0));
    assert_ne!(twice.data_ptr(), 0);
    assert_eq!((memory.middle(), floats_of(&values[2])), (vec![1.0, 4.0, 9.0], vec![-1.0, -2.0, -3.0]));

    // As an input: of a plain request, of a binding, and where it does not fit.
    let again = run(lane.as_mut(), [values[0].clone()], Wanted::All).expect("success");
    assert_eq!(floats_of(&again[2]), [-2.0, -4.0, -6.0]);
    let (request, _) = bound([values[0].clone()], vec![cpu()]);
    let third = run_bound(lane.as_mut(), request, some(&[1])).expect("success");
    assert_eq!(floats_of(&Value::Tensor(on_device(&third[0]).to_cpu().expect("a copy"))), [4.0, 16.0, 36.0]);
    let ints = load("identity_int64");
    let error = run(ints.open_lane(0).expect("a lane").as_mut(), [values[0].clone()], Wanted::All);
    assert_eq!(error.expect_err("floats").message, "input \"x\": expected tensor(int64), got tensor(float)");

    // They outlive all that made them, and go on whatever thread.
    drop((lane, engine, values, again));
    std::thread::spawn(move || {
        let copy = Value::Tensor(twice.to_cpu().expect("a copy"));
        assert_eq!(floats_of(&copy), [2.0, 4.0, 6.0]);
    })
    .join()
    .expect("no panic");
}

#[test]
fn what_has_no_place_on_a_device_is_given_as_ever() {
    let values =
        run_fresh("identity_string", [strings(&[1], &["a"])], vec![cpu()], Wanted::All).expect("success");
    assert_eq!(strings_of(&values[0]), ["a"]);
    let values =
        run_fresh("nothing", [floats(&[1], &[1.0])], vec![cpu(), cpu()], Wanted::All).expect("success");
    assert!(matches!(values[0], Value::None));
    assert_eq!(on_device(&values[1]).dims(), [1]);
    let sequence = run_fresh("sequence", [floats(&[1], &[1.0])], vec![cpu()], some(&[0])).expect("success");
    assert!(matches!(sequence[0], Value::Opaque(_)));
    let cuda = vec![Target::Device("Nowhere".into(), 3)];
    let error = run_fresh("three", [floats(&[1], &[1.0])], cuda, some(&[0])).expect_err("no such device");
    assert!(matches!(error.kind, ErrorKind::Engine | ErrorKind::Input), "{error}");
}

#[test]
fn nothing_is_left_behind() {
    let engine = load("three");
    let mut lane = engine.open_lane(0).expect("a lane");
    let (memory, wrong) = (Guarded::new(3), Guarded::new(2));
    let mut round = |target: Target, good: bool| {
        let (request, ends) = bound([floats(&[3], &[1.0; 3])], vec![target, Target::Fresh]);
        assert_eq!(run_bound(lane.as_mut(), request, some(&[0, 1])).is_ok(), good);
        assert!(!ends.is_taken());
    };
    let mut rounds = |count: usize| {
        for at in 0..count {
            round(memory.target(&[3]), true);
            round(cpu(), true);
            // The engine takes half a millisecond to refuse.
            if at % 32 == 0 {
                round(wrong.target(&[2]), false);
            }
        }
    };
    rounds(1_000);
    let (blocks, pages) = (live_blocks(), resident_pages());
    rounds(20_000);
    // Other tests of this file have blocks of their own at the same time.
    assert!(live_blocks() < blocks + 1000, "{} blocks, {blocks} before", live_blocks());
    if let (Some(before), Some(after)) = (pages, resident_pages()) {
        assert!(after < before + 8192, "{after} pages, {before} before");
    }
}
