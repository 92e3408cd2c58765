//! The names that an ONNX file gives its inputs and outputs, and its symbolic dimensions.
//!
//! OpenVINO joins tensors that are equal, and its C interface then tells one of their names, which may be another than the
//! output's own; symbolic dimensions it forgets. Only these few fields are read: weights are skipped.

use std::io::{self, Read, Seek, SeekFrom};

/// One input or output as the file has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    /// One for each dimension: its symbol, where it has one. Empty when the file says nothing.
    pub(super) symbols: Vec<Option<String>>,
}

/// The graph's face.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Face {
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
}

/// Fields of ONNX's messages, by their numbers.
mod field {
    pub(super) const MODEL_GRAPH: u64 = 7;
    pub(super) const GRAPH_INITIALIZER: u64 = 5;
    pub(super) const GRAPH_INPUT: u64 = 11;
    pub(super) const GRAPH_OUTPUT: u64 = 12;
    pub(super) const TENSOR_NAME: u64 = 8;
    pub(super) const VALUE_NAME: u64 = 1;
    pub(super) const VALUE_TYPE: u64 = 2;
    pub(super) const TYPE_TENSOR: u64 = 1;
    pub(super) const TENSOR_SHAPE: u64 = 2;
    pub(super) const SHAPE_DIM: u64 = 1;
    pub(super) const DIM_SYMBOL: u64 = 2;
}

/// Names longer than this are no names: the file is none of ONNX.
const LONGEST_NAME: u64 = 1 << 16;

/// Reads a model's face; `None` when it is no ONNX file, or has no names to tell.
pub(super) fn face(from: impl Read + Seek) -> Option<Face> {
    let mut scan = Scan { from, at: 0 };
    let end = scan.from.seek(SeekFrom::End(0)).ok()?;
    scan.from.rewind().ok()?;
    let (mut face, mut initializers) = (Face::default(), Vec::new());
    scan.each(end, |scan, number, end| match number {
        field::MODEL_GRAPH => scan.each(end, |scan, number, end| {
            match number {
                field::GRAPH_INPUT => face.inputs.push(scan.port(end)?),
                field::GRAPH_OUTPUT => face.outputs.push(scan.port(end)?),
                field::GRAPH_INITIALIZER => initializers.extend(scan.text_in(end, field::TENSOR_NAME)?),
                _ => {}
            }
            Ok(())
        }),
        _ => Ok(()),
    })
    .ok()?;
    // Old files list their weights among the inputs.
    face.inputs.retain(|input| !initializers.contains(&input.name));
    let named = face.inputs.iter().chain(&face.outputs).all(|port| !port.name.is_empty());
    (named && !face.outputs.is_empty()).then_some(face)
}

/// A place in the file.
struct Scan<R> {
    from: R,
    at: u64,
}

impl<R: Read + Seek> Scan<R> {
    fn go(&mut self, to: u64) -> io::Result<()> {
        if to != self.at {
            // Relative: a reader with a buffer keeps it, and asks the system only for what lies outside.
            // Back, too, where a field's last number reaches beyond its message.
            let place = |at| i64::try_from(at).map_err(|_| io::ErrorKind::InvalidData);
            let by = place(to)? - place(self.at)?;
            self.from.seek_relative(by)?;
            self.at = to;
        }
        Ok(())
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.from.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Gives every field that has a length to `visit`, with its end; goes on behind it whatever was read of it.
    fn each(
        &mut self,
        end: u64,
        mut visit: impl FnMut(&mut Self, u64, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        while self.at < end {
            let key = self.varint()?;
            let next = match key & 7 {
                0 => {
                    self.varint()?;
                    continue;
                }
                1 => self.at.checked_add(8),
                2 => {
                    let len = self.varint()?;
                    self.at.checked_add(len)
                }
                5 => self.at.checked_add(4),
                _ => None,
            };
            let next = next.filter(|&next| next <= end).ok_or(io::ErrorKind::InvalidData)?;
            if key & 7 == 2 {
                visit(self, key >> 3, next)?;
            }
            self.go(next)?;
        }
        Ok(())
    }

    fn text(&mut self, end: u64) -> io::Result<String> {
        let len = end - self.at;
        if len > LONGEST_NAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; len as usize];
        self.from.read_exact(&mut bytes)?;
        self.at = end;
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The text of one field of a message.
    fn text_in(&mut self, end: u64, wanted: u64) -> io::Result<Option<String>> {
        let mut found = None;
        self.each(end, |scan, number, end| {
            if number == wanted {
                found = Some(scan.text(end)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn port(&mut self, end: u64) -> io::Result<Port> {
        let mut port = Port::default();
        self.each(end, |scan, number, end| {
            match number {
                field::VALUE_NAME => port.name = scan.text(end)?,
                field::VALUE_TYPE => port.symbols = scan.symbols(end)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(port)
    }

    fn symbols(&mut self, end: u64) -> io::Result<Vec<Option<String>>> {
        let mut symbols = Vec::new();
        self.inside(end, field::TYPE_TENSOR, |scan, end| {
            scan.inside(end, field::TENSOR_SHAPE, |scan, end| {
                scan.inside(end, field::SHAPE_DIM, |scan, end| {
                    let symbol = scan.text_in(end, field::DIM_SYMBOL)?;
                    symbols.push(symbol.filter(|symbol| !symbol.is_empty()));
                    Ok(())
                })
            })
        })?;
        Ok(symbols)
    }

    /// Every field of one number.
    fn inside(
        &mut self,
        end: u64,
        wanted: u64,
        mut visit: impl FnMut(&mut Self, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        // A generic step into itself would have no end of types: the closure goes by reference.
        let visit: &mut dyn FnMut(&mut Self, u64) -> io::Result<()> = &mut visit;
        self.each(end, |scan, number, end| if number == wanted { visit(scan, end) } else { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{BufReader, Cursor};
    use std::path::PathBuf;
    use std::rc::Rc;

    use super::*;

    fn model(name: &str) -> Vec<u8> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name);
        std::fs::read(path).expect("a model of the tests")
    }

    fn names(ports: &[Port]) -> Vec<&str> {
        ports.iter().map(|port| port.name.as_str()).collect()
    }

    #[test]
    fn names_and_symbols_come_in_the_models_order() {
        let face = face(Cursor::new(model("mul.onnx"))).expect("an ONNX file");
        assert_eq!((names(&face.inputs), names(&face.outputs)), (vec!["x", "y"], vec!["z"]));
        assert_eq!(face.inputs[0].symbols.len(), 2);
        assert!(face.inputs[0].symbols[0].is_some() && face.inputs[0].symbols[1].is_none());
    }

    #[test]
    fn weights_are_no_inputs() {
        let face = face(Cursor::new(model("default.onnx"))).expect("an ONNX file");
        assert_eq!(names(&face.inputs), ["x"]);
    }

    /// A file that counts what it is asked.
    struct Counted(Cursor<Vec<u8>>, Rc<Cell<usize>>);

    impl Read for Counted {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1.set(self.1.get() + 1);
            self.0.read(into)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.1.set(self.1.get() + 1);
            self.0.seek(to)
        }
    }

    #[test]
    fn what_is_skipped_costs_no_call_of_the_systems() {
        // A graph of a thousand empty nodes with a byte each, before the model's own fields.
        let nodes: Vec<u8> = std::iter::repeat_n([0x0a, 1, 0], 1_000).flatten().collect();
        let mut file = vec![0x3a, (nodes.len() % 128 + 128) as u8, (nodes.len() / 128) as u8];
        file.extend(nodes);
        file.extend(model("mul.onnx"));
        let asked = Rc::new(Cell::new(0));
        let face = face(BufReader::new(Counted(Cursor::new(file), Rc::clone(&asked)))).expect("an ONNX file");
        assert_eq!(names(&face.outputs), ["z"]);
        assert!(asked.get() < 20, "{} calls", asked.get());
    }

    #[test]
    fn what_is_no_onnx_has_no_face() {
        assert_eq!(face(Cursor::new(b"<?xml version=\"1.0\"?><net/>")), None);
        assert_eq!(face(Cursor::new([])), None);
        // A message of one byte, whose number is outside of it.
        assert_eq!(face(Cursor::new([0x3a, 1, 0x08, 1])), None);
        let whole = model("three.onnx");
        for end in 0..whole.len() {
            // Whatever is missing: no panic, and no name that is not there.
            if let Some(face) = face(Cursor::new(&whole[..end])) {
                assert!(["twice", "square", "minus"].contains(&face.outputs[0].name.as_str()));
            }
        }
    }
}
