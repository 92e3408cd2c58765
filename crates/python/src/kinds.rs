//! The types of inputs that are not plain tensors, read once from the engine's words for them.

use headway_core::value::DType;

/// What an input takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A tensor of this element type and any shape.
    Tensor(DType),
    /// A list of one kind of elements.
    Sequence(Box<Typed>),
    /// A dict of keys (strings or int64) and values (strings, int64, float or double).
    Map {
        /// The keys' type.
        key: DType,
        /// The values' type.
        value: DType,
    },
    /// The inner kind, or nothing.
    Optional(Box<Typed>),
    /// A sparse tensor of this element type.
    Sparse(DType),
    /// Whatever numpy makes an array of: a callable's input.
    Object,
    /// What Headway does not know.
    Unknown,
}

/// A kind and the words that say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    /// ONNX Runtime's words: `seq(map(int64,tensor(float)))`.
    pub(crate) words: String,
    /// The kind.
    pub(crate) kind: Kind,
}

impl Typed {
    /// Reads the engine's words.
    pub(crate) fn parse(words: &str) -> Typed {
        Typed { words: words.to_owned(), kind: kind_of(words).unwrap_or(Kind::Unknown) }
    }

    /// True where nothing may be given.
    pub(crate) fn is_optional(&self) -> bool {
        matches!(self.kind, Kind::Optional(_))
    }

    /// Itself, or what an optional one holds when it holds something.
    pub(crate) fn held(&self) -> &Typed {
        match &self.kind {
            Kind::Optional(inner) => inner,
            _ => self,
        }
    }
}

fn kind_of(words: &str) -> Option<Kind> {
    if words == "object" {
        return Some(Kind::Object);
    }
    let (name, inner) = words.strip_suffix(')')?.split_once('(')?;
    Some(match name {
        "tensor" => Kind::Tensor(dtype_of(inner)?),
        "sparse_tensor" => Kind::Sparse(dtype_of(inner)?),
        "seq" => Kind::Sequence(Box::new(Typed::parse(inner))),
        "optional" => Kind::Optional(Box::new(Typed::parse(inner))),
        "map" => {
            let (key, value) = inner.split_once(',')?;
            let Kind::Tensor(value) = kind_of(value)? else { return None };
            Kind::Map { key: dtype_of(key)?, value }
        }
        _ => return None,
    })
}

/// The element type with this word.
pub(crate) fn dtype_of(word: &str) -> Option<DType> {
    (1..=25).filter_map(DType::from_onnx).find(|dtype| dtype.as_str() == word)
}
