"""Which sentences mean the same: embeddings of a sentence transformer, with IO binding.

    python embed_sentences.py MODEL VOCABULARY

The vocabulary has a word piece and its number on every line.
"""

import argparse
import re
import sys

import numpy as np
import onnxruntime as ort

SENTENCES = (
    "A man is eating food.",
    "Someone eats a meal.",
    "The train is late again.",
    "A woman plays the violin.",
)


def tokenize(sentence, vocabulary):
    """The numbers of the sentence's word pieces, between start and end."""
    pieces = ["[CLS]", *re.findall(r"\w+|[^\w\s]", sentence.lower()), "[SEP]"]
    return [vocabulary.get(piece, vocabulary["[UNK]"]) for piece in pieces]


def batch(sentences, vocabulary):
    """The sentences side by side, the shorter ones padded."""
    rows = [tokenize(sentence, vocabulary) for sentence in sentences]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def embed(session, feed):
    """One vector of length 1 for each sentence: the mean of its words' vectors."""
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
    name = session.get_outputs()[0].name
    binding.bind_output(name, "cpu")
    session.run_with_iobinding(binding)
    (words,) = binding.get_outputs()
    print(f"{name}: {words.data_type()} {words.shape()} on {words.device_name()}")

    mask = feed["attention_mask"][:, :, None]
    vectors = (words.numpy() * mask).sum(axis=1) / mask.sum(axis=1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def embed_into(session, feed, hidden):
    """The same with a place for the output made before, so that repeated calls allocate nothing."""
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_cpu_input(name, array)
    output = session.get_outputs()[0].name
    binding.bind_output(output, "cpu", 0, np.float32, hidden.shape, hidden.ctypes.data)
    session.run_with_iobinding(binding)
    return hidden


def main(model, words):
    with open(words, encoding="utf-8") as file:
        vocabulary = {piece: int(number) for piece, number in map(str.split, file)}
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    feed = batch(SENTENCES, vocabulary)
    vectors = embed(session, feed)
    for row in vectors @ vectors.T:
        print(" ".join(f"{likeness:7.4f}" for likeness in row))

    hidden = np.zeros((*feed["input_ids"].shape, vectors.shape[1]), np.float32)
    first = embed_into(session, feed, hidden).copy()
    again = embed_into(session, feed, hidden)
    print("the same again:", bool((first == again).all()), f"{np.abs(hidden).mean():.5f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("words", metavar="vocabulary")
    try:
        main(**vars(parser.parse_args()))
    except Exception as error:
        # onnxruntime's errors have no base class of their own.
        sys.exit(f"[FAIL] {error}")
