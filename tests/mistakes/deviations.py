"""Where Headway does not do what onnxruntime does, and why: the one list of them (docs/onnxruntime.md has it in words)."""

from __future__ import annotations

from typing import NamedTuple

TAKEN = "taken"


class Deviation(NamedTuple):
    """One thing that is better different."""

    #: Under this name it stands in the docs.
    name: str
    why: str
    #: Case of the catalogue -> what Headway does: `taken`, or a class and words of the message.
    cases: dict[str, str]


ROW = "Invalid rank for input: x Got: 0 Expected: 2"

FEEDS = (
    Deviation(
        "Lists and arrays as feeds",
        "a feed may be a list in input order, or the one array of a model with one input",
        {
            "feed is a list": TAKEN,
            "feed is an array": "InvalidArgument: expected: (tensor(int64)) for input 'i'",
            "feed is a number": "InputError: the feed must be a dict by name or a list in input order",
            "feed is None": "InputError: the feed must be a dict by name or a list in input order",
            "feed is a str": "InputError: the feed must be a dict by name or a list in input order",
            "callback: feed is None": "InputError: the feed must be a dict by name or a list in input order",
            "values: None": "InputError: the feed must be a dict by name or a list in input order",
            "values: a list": TAKEN,
            "values: arrays": TAKEN,
        },
    ),
    Deviation(
        "Numbers and buffers as inputs",
        "a number is a tensor of rank 0, and whatever has a buffer is an array",
        {
            "python float": f"InvalidArgument: {ROW}",
            "python int": f"InvalidArgument: {ROW}",
            "numpy number": f"InvalidArgument: {ROW}",
            "one str for strings": "InvalidArgument: Invalid rank for input: x Got: 0 Expected: 1",
            "memoryview": TAKEN,
        },
    ),
    Deviation(
        "Objects that are no tensor",
        "an InputError (a ValueError) that names the input, before there is a request, instead of a RuntimeError",
        {
            "None": "InputError: input 'x' is None",
            "object": "InputError: input 'x': cannot read an object of type <class 'object'>",
            "dict for float32": "InputError: input 'x': cannot read an object of type <class 'dict'>",
            "set for float32": "InputError: input 'x': cannot read an object of type <class 'set'>",
            "generator for float32": "InputError: input 'x': cannot read an object of type <class 'generator'>",
            "ragged list": "InputError: input 'x': cannot read <class 'list'> as an array",
        },
    ),
    Deviation(
        "Wrong dtypes are one error",
        "every dtype that does not fit is an InvalidArgument with both dtypes, those too that ONNX has no name for",
        {
            "complex for float32": "InvalidArgument: Actual: (tensor(complex64)) , expected: (tensor(float))",
            "dates for float32": "InvalidArgument: Actual: (datetime64[s]) , expected: (tensor(float))",
            "records for float32": "InvalidArgument: ('f1', '<f4')]) , expected: (tensor(float))",
            "bfloat16 for float32": "InvalidArgument: Actual: (tensor(bfloat16)) , expected: (tensor(float))",
            "longdouble for float32": "InvalidArgument: expected: (tensor(float)) for input 'x'",
            "str for float32": "InvalidArgument: Actual: (tensor(string)) , expected: (tensor(float))",
            "bytes for float32": "InvalidArgument: Actual: (tensor(uint8)) , expected: (tensor(float))",
            "list of words": "InvalidArgument: Actual: (tensor(string)) , expected: (tensor(float))",
        },
    ),
    Deviation(
        "None is no value",
        "None becomes neither nan nor the text 'None', and a number becomes no text",
        {
            "list of None": "InvalidArgument: expected: (tensor(float)) for input 'x'",
            "None among strings": "InputError: element 1 must be str or UTF-8 bytes, got None",
            "a number among strings": "InputError: element 1 must be str or UTF-8 bytes, got <class 'int'>",
        },
    ),
    Deviation(
        "Text that is not UTF-8",
        "an InputError that says which element of which input",
        {
            "bytes that are no UTF-8": "InputError: input 'x': element 0 is not UTF-8 text",
            "a lone surrogate": "InputError: input 'x': element 0 is not UTF-8 text",
        },
    ),
    Deviation(
        "Small types",
        "bfloat16, float8 and the types of 4 and 2 bits go in and come out as ml_dtypes",
        {"bfloat16 input": TAKEN, "bfloat16 output": TAKEN, "value of bfloat16": TAKEN},
    ),
    Deviation(
        "Byte order",
        "arrays of the other byte order are converted; onnxruntime reads their bytes as they are",
        {"big-endian": TAKEN, "value of a big-endian array": TAKEN},
    ),
    Deviation(
        "Shared dimensions",
        "lengths of one named dimension are compared before there is a request, not by the kernel that trips over them",
        {
            "lengths of one dimension differ": "InvalidArgument: dimension 'N': input 'x' has 3 at index 0, input 'y' has 2"
        },
    ),
    Deviation(
        "The first of several mistakes",
        "names of outputs are looked at first, then the inputs one by one; onnxruntime's order depends on the error",
        {
            "both inputs wrong": "InvalidArgument: Invalid rank for input: x",
            "both inputs wrong, fed the other way round": "InvalidArgument: Invalid rank for input: x",
            "unknown output before a wrong input": "InvalidArgument: Invalid output name:nope",
            "unknown output before a missing input": "InvalidArgument: Invalid output name:nope",
        },
    ),
)

VALUES = (
    Deviation(
        "Sequences and maps",
        "every element that does not fit is an InputError that says which, expected and got",
        {
            "an array for a sequence": "InvalidArgument: expected: (seq(tensor(float))) for input 's'",
            "a number for a sequence": "InvalidArgument: expected: (seq(tensor(float))) for input 's'",
            "a sequence of float64": "InvalidArgument: Actual: (tensor(double)) , expected: (tensor(float)) for input 's[0]'",
            "a sequence of two dtypes": "InvalidArgument: Actual: (tensor(int64)) , expected: (tensor(float)) for input 's[1]'",
            "a sequence with None": "InputError: input 's[1]' is None: expected a tensor(float)",
            "a sequence of words": "InvalidArgument: Actual: (tensor(string)) , expected: (tensor(float)) for input 's[0]'",
            "a map from numbers": "InvalidArgument: a key of input 'm' must be a str, got 1 of <class 'int'>",
            "a map to words": "InvalidArgument: a value of input 'm' must be a float, got 'b' of <class 'str'>",
            "a list for a map": "InvalidArgument: expected: (map(string,tensor(float))) for input 'm'",
            "an array for a map": "InvalidArgument: expected: (map(string,tensor(float))) for input 'm'",
        },
    ),
    Deviation(
        "Every dtype as an OrtValue",
        "strings and complex numbers too",
        {
            "value of strings": TAKEN,
            "empty value of strings": TAKEN,
            "value of complex numbers": TAKEN,
        },
    ),
    Deviation(
        "update_inplace",
        "the dtype must be the value's own; onnxruntime compares sizes and copies the bytes as they are",
        {
            "updated with float64": "RuntimeError: the array is of float64 and the OrtValue of float32",
            "updated with float64 of the same bytes": "RuntimeError: the array is of float64 and the OrtValue of float32",
            "updated with int32": "RuntimeError: the array is of int32 and the OrtValue of float32",
        },
    ),
    Deviation(
        "Messages of OrtValue and IOBinding",
        "the same class, in words that say what was expected and what to do",
        {
            "value of a list": "RuntimeError: expected a numpy array of a type that a model can have, got <class 'list'>",
            "value of a number": "RuntimeError: expected a numpy array of a type that a model can have, got <class 'float'>",
            "value of None": "RuntimeError: expected a numpy array of a type that a model can have, got <class 'NoneType'>",
            "value of objects": "InputError: element 0 must be str or UTF-8 bytes, got <class 'object'>",
            "value on an absent device": "RuntimeError: Can't allocate memory on the device",
            "value of an unknown ONNX type": "RuntimeError: tensor type 9999 is not supported",
            "value of an ONNX type of another width": "RuntimeError: an array of float32 cannot be read as tensor(double)",
            "empty value of a negative shape": "RuntimeError: [-2, 3] is no shape",
            "empty value on an absent device": "RuntimeError: Can't allocate memory on the device",
            "DLPack of a strided array": "RuntimeError: only contiguous tensors can be shared: make it contiguous first",
            "tensor as a sparse one": "RuntimeError: This OrtValue does not contain SparseTensor, but tensor(float)",
            "binding: missing input": "RuntimeError: Error in execution: Required inputs (['y']) are missing",
            "binding: unknown input's value": "RuntimeError: Failed to find NodeArg with name: nope in the def list",
            "binding: a list": "RuntimeError: expected a numpy array of a type that a model can have, got <class 'list'>",
            "binding: None": "RuntimeError: expected a numpy array of a type that a model can have, got <class 'NoneType'>",
            "binding: output of another dtype": "RuntimeError: the memory is for tensor(int32), the model gives tensor(float)",
        },
    ),
)

CALLS = (
    Deviation(
        "Type errors in words",
        "what was expected and what was got, instead of the signatures of C++ functions",
        {
            "input name is a number": "InvalidArgument: Invalid input name: 5; the model's inputs are ['x', 'y']",
            "input name is None": "InvalidArgument: Invalid input name: None; the model's inputs are ['x', 'y']",
            "output names are a str": "TypeError: output_names must be None or a list of str",
            "output names are a number": "TypeError: output_names must be None or a list of str",
            "output names are numbers": "TypeError: output_names must hold str only, got <class 'int'>",
            "output names with None": "TypeError: output_names must hold str only, got <class 'NoneType'>",
            "output names are bytes": "TypeError: output_names must hold str only, got <class 'bytes'>",
            "run options are a number": "TypeError: run_options: expected headway.RunOptions, got int",
            "run options are a dict": "TypeError: run_options: expected headway.RunOptions, got dict",
            "run options are session options": "TypeError: run_options: expected headway.RunOptions, got SessionOptions",
            "callback: run options are a number": "TypeError: run_options: expected headway.RunOptions, got int",
            "callback is a number": "TypeError: callback: expected a callable, got int",
            "session options are a number": "TypeError: sess_options: expected headway.SessionOptions, got int",
            "session options are a dict": "TypeError: sess_options: expected headway.SessionOptions, got dict",
            "session options are run options": "TypeError: sess_options: expected headway.SessionOptions, got RunOptions",
            "threads are a str": "TypeError: SessionOptions.intra_op_num_threads: expected int, got str '2'",
            "threads are a float": "TypeError: SessionOptions.intra_op_num_threads: expected int, got float 1.5",
            "threads are None": "TypeError: SessionOptions.intra_op_num_threads: expected int, got NoneType None",
            "optimization level is a str": "TypeError: graph_optimization_level: expected GraphOptimizationLevel, got str 'all'",
            "execution mode is a str": "TypeError: execution_mode: expected ExecutionMode, got str 'sequential'",
            "log id is a number": "TypeError: SessionOptions.logid: expected str, got int 5",
            "severity is a str": "TypeError: SessionOptions.log_severity_level: expected int, got str 'error'",
            "arena is a str": "TypeError: SessionOptions.enable_cpu_mem_arena: expected bool, got str 'yes'",
            "profiling is a str": "TypeError: SessionOptions.enable_profiling: expected bool, got str 'yes'",
            "profile prefix is a number": "TypeError: SessionOptions.profile_file_prefix: expected str, got int 5",
            "optimized path is a number": "TypeError: SessionOptions.optimized_model_filepath: expected str, got int 5",
            "entry's value is a number": "TypeError: config entries are str",
            "entry's key is a number": "TypeError: config entries are str",
            "free dimension is a str": "TypeError: 'str' object cannot be interpreted as an integer",
            "free dimension's name is a number": "TypeError: expected str, got int 5",
            "custom operators' path is a number": "TypeError: expected str, got int 5",
            "custom operators' registration without a path": "TypeError: missing 1 required positional argument: 'path'",
            "a provider for options without options": "TypeError: missing 1 required positional argument: 'options'",
            "initializer is an array": "TypeError: expected an OrtValue, got ndarray",
            "adapter is a number": "TypeError: int",
            "terminate is a str": "TypeError: expected bool, got str 'yes'",
            "severity of a run is a str": "TypeError: RunOptions.log_severity_level: expected int, got str 'x'",
            "log id of a run is a number": "TypeError: RunOptions.logid: expected str, got int 5",
            "run entry's value is a number": "TypeError: config entries are str",
            "run entry's key is a number": "TypeError: config entries are str",
            "default severity is a str": "TypeError: expected int, got str 'x'",
            "value's device is a number": "TypeError: 'int' object is not an instance of 'str'",
            "value of an ONNX type that is a str": "RuntimeError: an array of float32 cannot be read as tensor(double)",
            "empty value of an unknown type": "TypeError: data type 'nope' not understood",
            "empty value of a shape of str": "TypeError: str",
            "empty value of a shape of None": "TypeError: 'None' is not an instance of 'Sequence'",
            "DLPack of a number": "TypeError: from_dlpack expected an object with __dlpack__",
            "DLPack of a str": "TypeError: from_dlpack expected an object with __dlpack__",
            "OrtValue of a number": "TypeError: cannot create",
            "binding: name is a number": "RuntimeError: Failed to find NodeArg with name: 5 in the def list",
            "binding: an array for a value": "TypeError: ortvalue: expected a headway.OrtValue, got <class 'numpy.ndarray'>",
            "binding: an array for an output's value": "TypeError: ortvalue: expected a headway.OrtValue",
            "binding: input of an unknown type": "TypeError: data type 'nope' not understood",
            "binding: is None": "TypeError: 'None' is not an instance of 'IOBinding'",
            "binding: is a number": "TypeError: 'int' object is not an instance of 'IOBinding'",
            "binding: run options are a number": "TypeError: run_options: expected headway.RunOptions, got int",
        },
    ),
    Deviation(
        "Messages without source lines",
        "the words of the engine's assertions, without the lines and signatures of its C++ sources",
        {
            "default severity of 99": "RuntimeError: Invalid logging severity",
            "fewer external initializers than names": "RuntimeError: Expecting names and initializers of equal length",
        },
    ),
    Deviation(
        "Numbers for enums",
        "a number that an enum has may stand for its member",
        {"optimization level is a number": TAKEN},
    ),
    Deviation("Options can be copied", "copy.copy gives options of their own", {"options copied": TAKEN}),
    Deviation(
        "Shared threads",
        "the process has a shared pool from its first session on: use_per_session_threads=False needs no call before it",
        {"shared threads that nobody made": TAKEN},
    ),
    Deviation(
        "Unknown keywords",
        "a misspelt keyword raises instead of being ignored",
        {"unknown keyword of the session": "TypeError: unexpected keyword argument 'colour'"},
    ),
    Deviation(
        "Errors of run_async",
        "what is wrong with the call is raised by the call, with its class; what fails later has run's own words",
        {
            "callback: unknown input": "InvalidArgument: Invalid input name: q",
            "callback: unknown output": "InvalidArgument: Invalid output name:nope",
            "callback: dtype": "InvalidArgument: Actual: (tensor(double)) , expected: (tensor(float))",
            "callback: rank": "InvalidArgument: Invalid rank for input: x Got: 1 Expected: 2",
            "callback: terminated": "HandedOver: [ONNXRuntimeError] : 1 : FAIL : Exiting due to terminate flag",
            "callback is missing": "TypeError: missing 1 required positional argument: 'callback'",
        },
    ),
    Deviation(
        "run_async on one thread",
        "requests run on Headway's own threads: one intra-op thread is enough",
        {"callback with one intra-op thread": TAKEN},
    ),
)

LOADING = (
    Deviation(
        "Callables as models",
        "the message says what may be a model here, functions too",
        {
            "bytearray": "TypeError: expected a path, bytes, a callable or a headway.Engine, got bytearray",
            "memoryview of a model": "TypeError: expected a path, bytes, a callable or a headway.Engine, got memoryview",
            "ModelProto": "TypeError: expected a path, bytes, a callable or a headway.Engine, got ModelProto",
            "model is a number": "TypeError: expected a path, bytes, a callable or a headway.Engine, got int",
            "model is None": "TypeError: expected a path, bytes, a callable or a headway.Engine, got NoneType",
            "model is a list": "TypeError: expected a path, bytes, a callable or a headway.Engine, got list",
        },
    ),
    Deviation(
        "Paths that are no file",
        "the engine's own words: a directory is called a directory, and an empty path is a missing file",
        {
            "empty path": "NoSuchFile: File doesn't exist",
            "a directory": "LoadError: The model path is a directory",
            "optimized path in no directory": "InvalidArgument: No such file or directory",
        },
    ),
    Deviation(
        "The engine's own class",
        "where onnxruntime's Python says RuntimeError, or looks first, the status of the engine speaks",
        {
            "CPU fallback disabled and not needed": "Fail: fallback to CPU EP has been explicitly disabled",
            "an adapter that is not there": "InvalidArgument: [ONNXRuntimeError] : 2 : INVALID_ARGUMENT",
        },
    ),
    Deviation(
        "Missing providers",
        "no silent fallback: a list without the CPU's provider raises, a list with it warns once",
        {
            "absent provider alone": "LoadError: CUDAExecutionProvider is not available",
            "unknown provider alone": "LoadError: NopeProvider is not available",
        },
    ),
    Deviation(
        "Providers of a session",
        "they stay what they are as long as the session lives: a request may be running on them",
        {"new providers that nobody knows": "HeadwayError: a session keeps its execution providers"},
    ),
    Deviation(
        "Wrong provider arguments",
        "they raise; onnxruntime prints them, leaves them out and goes on",
        {
            "providers are a str": "TypeError: write ['CPUExecutionProvider']",
            "providers are a number": "ValueError: 'providers' should be a sequence",
            "providers are numbers": "ValueError: 'providers' values must be",
            "provider's options are a number": "ValueError: 'providers' values must be",
            "provider pair of three": "ValueError: 'providers' values must be",
            "options given twice": "ValueError: Only string values for 'providers' are supported",
            "options of more providers": "ValueError: 'provider_options' should be the same length",
            "provider options are no dicts": "ValueError: 'provider_options' values must be dicts",
            "provider options are a dict": "ValueError: 'provider_options' should be a sequence",
        },
    ),
)

DEVIATIONS = (*FEEDS, *VALUES, *CALLS, *LOADING)
