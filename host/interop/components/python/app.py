"""Counts words: an ordinary component, which knows nothing of nanohost."""

from collections import Counter

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.words import Count, Failure_Empty, Failure_TooLong


class Words(exports.Words):
    def count_words(self, text, top):
        if not text.strip():
            raise Err(Failure_Empty())
        if len(text) > 1000:
            raise Err(Failure_TooLong(len(text)))
        counted = Counter(text.lower().split()).items()
        # The most frequent first; no import may come late: there are no files when it runs.
        ordered = sorted(counted, key=lambda entry: (-entry[1], entry[0]))
        return [Count(word, times) for word, times in ordered[:top]]
