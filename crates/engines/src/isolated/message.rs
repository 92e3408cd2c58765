//! What the two sides tell each other: requests, answers, and at first what the model is.

use std::sync::Arc;

use headway_core::engine::{BatchAxes, Dim, Job, ModelInfo, ModelMeta, NodeInfo, ValueType};
use headway_core::error::{Error, ErrorKind};
use headway_core::request::{Inputs, Wanted};
use headway_core::value::{DType, Value, Values};

use super::values::{self, From, Payload};
use super::wire::{Reader, Writer, garbled};

/// The traceback of an exception in a lane's process, as text.
#[derive(Debug)]
pub struct RemoteTraceback(pub String);

// ---- requests

/// Adds the jobs of a batch, and along which axes it is joined.
pub(super) fn put_jobs<'a>(
    row: &mut Writer,
    payload: &mut Payload<'a>,
    axes: Option<&BatchAxes>,
    jobs: &'a [Job],
) -> Result<(), Error> {
    row.flag(axes.is_some());
    if let Some(axes) = axes {
        for side in [&axes.inputs, &axes.outputs] {
            row.list(side, |row, axis| row.word(axis.map_or(u64::MAX, |axis| axis as u64)));
        }
    }
    row.word(jobs.len() as u64);
    for job in jobs {
        row.flag(job.wanted == Wanted::All);
        if let Wanted::Some(indices) = &job.wanted {
            row.list(indices, |row, &index| row.word(u64::from(index)));
        }
        let Inputs::Feeds(values) = &job.inputs else { return Err(no_binding()) };
        row.word(values.len() as u64);
        for (at, value) in values.iter().enumerate() {
            values::put(row, payload, value, || format!("input number {at}"))?;
        }
    }
    Ok(())
}

/// True when the job is made of what a message can hold.
pub(super) fn can_be_sent(job: &Job) -> bool {
    match &job.inputs {
        Inputs::Feeds(values) => !values.iter().any(|value| matches!(value, Value::Opaque(_))),
        Inputs::Binding(_) => false,
    }
}

#[cold]
fn no_binding() -> Error {
    let text =
        "a binding's values live in this process: isolation=\"process\" takes arrays; use run() or submit()";
    Error::new(ErrorKind::Input, text)
}

/// A batch as the lane's process gets it.
pub(super) struct Batch {
    pub(super) axes: Option<BatchAxes>,
    pub(super) jobs: Vec<Job>,
}

pub(super) fn get_jobs(row: &mut Reader<'_>, from: &From<'_>) -> Result<Batch, Error> {
    let axes = if row.flag()? {
        let mut side =
            || row.list(|row| Ok(usize::try_from(row.word()?).ok().filter(|&axis| axis != usize::MAX)));
        Some(BatchAxes { inputs: side()?, outputs: side()? })
    } else {
        None
    };
    let jobs = row.list(|row| {
        let wanted = match row.flag()? {
            true => Wanted::All,
            false => Wanted::Some(row.list(get_index)?.into()),
        };
        let inputs = Inputs::Feeds(values::get_all(row, from)?);
        Ok(Job { inputs, wanted, options: None, result: None })
    })?;
    Ok(Batch { axes, jobs })
}

fn get_index(row: &mut Reader<'_>) -> Result<u32, Error> {
    u32::try_from(row.word()?).map_err(|_| garbled("an output's number that is none"))
}

// ---- answers

/// How each job of a batch ended.
pub(super) type Results = Vec<Result<Values, Error>>;

/// Adds the results of a batch, and why the model turned out not to be batchable.
pub(super) fn put_results<'a>(
    row: &mut Writer,
    payload: &mut Payload<'a>,
    results: &'a [Result<Values, Error>],
    refusal: Option<&str>,
) {
    row.word(results.len() as u64);
    for result in results {
        let mark = row.0.len();
        let error = match result {
            Ok(values) => match put_values(row, payload, values) {
                Ok(()) => continue,
                Err(error) => error,
            },
            Err(error) => error.clone(),
        };
        row.0.truncate(mark);
        row.flag(false);
        put_error(row, &error);
    }
    row.flag(refusal.is_some());
    if let Some(text) = refusal {
        row.text(text);
    }
}

fn put_values<'a>(row: &mut Writer, payload: &mut Payload<'a>, values: &'a Values) -> Result<(), Error> {
    row.flag(true);
    row.word(values.len() as u64);
    for (at, value) in values.iter().enumerate() {
        let put = values::put(row, payload, value, || format!("output number {at}"));
        put.map_err(|error| Error { kind: ErrorKind::Engine, ..error })?;
    }
    Ok(())
}

pub(super) fn get_results(row: &mut Reader<'_>, from: &From<'_>) -> Result<(Results, Option<String>), Error> {
    let results = row.list(|row| match row.flag()? {
        true => values::get_all(row, from).map(Ok),
        false => get_error(row).map(Err),
    })?;
    let refusal = if row.flag()? { Some(row.text()?) } else { None };
    Ok((results, refusal))
}

fn put_error(row: &mut Writer, error: &Error) {
    row.word(match error.kind {
        ErrorKind::Load => 0,
        ErrorKind::Input => 1,
        _ => 2,
    });
    row.flag(error.code.is_some());
    row.signed(i64::from(error.code.unwrap_or(0)));
    row.text(&error.message);
    let trace = error.payload.as_ref().and_then(|payload| payload.downcast_ref::<RemoteTraceback>());
    row.text(trace.map_or("", |trace| &trace.0));
}

fn get_error(row: &mut Reader<'_>) -> Result<Error, Error> {
    let kind = match row.word()? {
        0 => ErrorKind::Load,
        1 => ErrorKind::Input,
        _ => ErrorKind::Engine,
    };
    let (coded, code) = (row.flag()?, row.signed()?);
    let mut error = Error::new(kind, row.text()?);
    error.code = i32::try_from(code).ok().filter(|_| coded);
    let trace = row.text()?;
    Ok(if trace.is_empty() { error } else { error.with_payload(Arc::new(RemoteTraceback(trace))) })
}

// ---- the first message

/// What a lane's process says once its model is loaded, or why it is not.
pub(super) type Hello = Result<(ModelInfo, String), Error>;

/// The first message. `facts` is the loader's business on both sides.
pub(super) fn hello(said: &Result<(&ModelInfo, &str), Error>) -> Vec<u8> {
    let mut row = Writer::default();
    row.flag(said.is_ok());
    match said {
        Ok((info, facts)) => {
            for nodes in [&info.inputs, &info.outputs, &info.initializers] {
                row.list(nodes, put_node);
            }
            put_meta(&mut row, &info.meta);
            row.text(facts);
        }
        Err(error) => put_error(&mut row, error),
    }
    row.0
}

pub(super) fn read_hello(message: &[u8]) -> Result<Hello, Error> {
    let row = &mut Reader::new(message);
    if !row.flag()? {
        return get_error(row).map(Err);
    }
    let mut nodes = || row.list(get_node);
    let (inputs, outputs, initializers) = (nodes()?, nodes()?, nodes()?);
    let meta = get_meta(row)?;
    Ok(Ok((ModelInfo { inputs, outputs, initializers, meta, ..ModelInfo::default() }, row.text()?)))
}

fn put_node(row: &mut Writer, node: &NodeInfo) {
    row.text(&node.name);
    row.flag(node.required);
    match &node.kind {
        ValueType::Other(words) => {
            row.word(0);
            row.text(words);
        }
        ValueType::Tensor(dtype, dims) => {
            row.word(*dtype as i32 as u64);
            row.flag(dims.is_some());
            row.list(dims.as_deref().unwrap_or(&[]), put_dim);
        }
    }
}

fn get_node(row: &mut Reader<'_>) -> Result<NodeInfo, Error> {
    let (name, required) = (row.text()?, row.flag()?);
    let kind = match row.word()? {
        0 => ValueType::Other(row.text()?),
        code => {
            let dtype = i32::try_from(code).ok().and_then(DType::from_onnx);
            let dtype = dtype.ok_or_else(|| garbled("an element type that does not exist"))?;
            let ranked = row.flag()?;
            let dims = row.list(get_dim)?;
            ValueType::Tensor(dtype, ranked.then_some(dims))
        }
    };
    Ok(NodeInfo { name, kind, required })
}

fn put_dim(row: &mut Writer, dim: &Dim) {
    match dim {
        Dim::Any => row.word(0),
        Dim::Fixed(length) => {
            row.word(1);
            row.signed(*length);
        }
        Dim::Named(name) => {
            row.word(2);
            row.text(name);
        }
    }
}

fn get_dim(row: &mut Reader<'_>) -> Result<Dim, Error> {
    Ok(match row.word()? {
        0 => Dim::Any,
        1 => Dim::Fixed(row.signed()?),
        _ => Dim::Named(row.text()?),
    })
}

fn put_meta(row: &mut Writer, meta: &ModelMeta) {
    for text in
        [&meta.producer_name, &meta.graph_name, &meta.graph_description, &meta.domain, &meta.description]
    {
        row.text(text);
    }
    row.signed(meta.version);
    row.list(&meta.custom, |row, (key, value)| {
        row.text(key);
        row.text(value);
    });
}

fn get_meta(row: &mut Reader<'_>) -> Result<ModelMeta, Error> {
    Ok(ModelMeta {
        producer_name: row.text()?,
        graph_name: row.text()?,
        graph_description: row.text()?,
        domain: row.text()?,
        description: row.text()?,
        version: row.signed()?,
        custom: row.list(|row| Ok((row.text()?, row.text()?)))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_what_it_was() {
        let node = |name: &str, kind| NodeInfo { name: name.into(), kind, required: name != "b" };
        let dims = vec![Dim::Fixed(3), Dim::Named("rows".into()), Dim::Any];
        let info = ModelInfo {
            inputs: vec![
                node("a", ValueType::Tensor(DType::F32, Some(dims))),
                node("b", ValueType::Tensor(DType::String, None)),
            ],
            outputs: vec![node("c", ValueType::Other("seq(tensor(float))".into()))],
            initializers: vec![node("d", ValueType::Tensor(DType::I4, Some(vec![])))],
            converts: vec![],
            meta: ModelMeta {
                version: i64::MAX,
                custom: vec![("key".into(), "value".into())],
                ..ModelMeta::default()
            },
        };
        let message = hello(&Ok((&info, "facts")));
        let read = read_hello(&message).expect("a message").expect("a model");
        assert_eq!(read, (info, "facts".to_owned()));
        for end in 0..message.len() {
            assert!(read_hello(&message[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn an_error_keeps_kind_code_and_traceback() {
        let error = Error::new(ErrorKind::Input, "wrong")
            .with_code(2)
            .with_payload(Arc::new(RemoteTraceback("line 1".into())));
        let read = read_hello(&hello(&Err(error))).expect("a message").expect_err("an error");
        assert_eq!((read.kind, read.message.as_str(), read.code), (ErrorKind::Input, "wrong", Some(2)));
        let trace = read.payload.expect("a payload");
        assert_eq!(trace.downcast_ref::<RemoteTraceback>().expect("a traceback").0, "line 1");
    }
}
