//! Process lanes for the suite. The program of a lane is the test binary itself, so that both ends are what is tested.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use headway_core::engine::Engine;
use headway_engines::isolated::{IsolatedEngine, Launch, Limits, Origin, serve};
use headway_engines::{openvino, ort};

use super::subjects::{Subject, Terminated, in_this_process};
use super::{library, rknn};

/// Says to the test binary that it is a lane's process.
const MARK: &str = "HEADWAY_CONFORMANCE_LANE";
/// The test that is the lane's program. Each binary with this subject has it.
const PROGRAM: &str = "the_program_of_a_lane";

/// Any other subject, each lane in a process of its own.
pub(crate) struct Isolated(pub(crate) Box<dyn Subject>);

impl Isolated {
    fn start(&self, model: &str) -> Box<dyn Engine> {
        let description = format!("{} {model}", self.0.name());
        // The shell for its redirection: the binary says on standard output which test it runs.
        let shell = ["/bin/sh", "-c", "exec \"$0\" \"$@\" >/dev/null"].map(OsString::from);
        let program = std::env::current_exe().expect("a path").into_os_string();
        let arguments = ["--exact", PROGRAM, "--nocapture"].map(OsString::from);
        let launch = Launch {
            command: shell.into_iter().chain([program]).chain(arguments).collect(),
            environment: environment(),
            description: description.into_bytes(),
            model: None,
        };
        let limits = Limits { spin: Duration::from_micros(30), ..Limits::default() };
        let engine = IsolatedEngine::start(self.0.name(), 1, launch, limits).expect("a process");
        assert!(
            engine.wait_loaded(Duration::from_secs(60)).expect("the model loads"),
            "a process that loads"
        );
        Box::new(engine)
    }
}

/// This process's, and where the libraries are, so that no lane has to find out.
fn environment() -> Vec<(OsString, OsString)> {
    let found = [
        (ort::LIBRARY_VARIABLE, library::candidates().into_iter().next()),
        (openvino::LIBRARY_VARIABLE, super::openvino::candidates().into_iter().next()),
        (rknn::STANDIN, Some(rknn::library())),
        (MARK, Some("1".into())),
    ];
    let more = found.into_iter().filter_map(|(name, path)| Some((name.into(), path?.into_os_string())));
    std::env::vars_os().chain(more).collect()
}

impl Subject for Isolated {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn echo(&self) -> Box<dyn Engine> {
        self.start("echo")
    }

    fn shapes(&self) -> Vec<Vec<i64>> {
        self.0.shapes()
    }

    fn product(&self) -> Option<Box<dyn Engine>> {
        // The process says whether its engine has shapes; asking for one here costs nothing but the load.
        self.0.product()?;
        Some(self.start("product"))
    }

    fn terminated(&self) -> Option<Terminated> {
        Some(Terminated { code: None, words: "the request was stopped" })
    }
}

/// What the test of that name does in a lane's process: it loads, serves and never returns. Nothing anywhere else.
pub(crate) fn be_a_lane() {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    let origin = Origin::inherit().expect("a session's socket");
    let said = String::from_utf8(origin.description.clone()).expect("text");
    let (name, model) = said.rsplit_once(' ').expect("an engine and a model");
    let subjects = in_this_process();
    let subject = subjects.iter().find(|subject| subject.name() == name).expect("an engine of this name");
    let engine = match model {
        "echo" => subject.echo(),
        _ => subject.product().expect("a model of two inputs"),
    };
    let engine: Arc<dyn Engine> = engine.into();
    let mut mailbox = origin.welcome(engine.info(), "").expect("a session that listens");
    serve(&mut mailbox, &engine);
    std::process::exit(0);
}
