"""The history checker finds what it is there for."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import history  # noqa: E402


def begin(value, at):
    return {"kind": "begin", "block": 1, "value": value, "begin": at}


def done(kind, value, at, end):
    return {"kind": kind, "block": 1, "value": value, "begin": at, "end": end}


class History(unittest.TestCase):
    def check(self, operations, *words):
        found = history.problems({1: operations})
        self.assertEqual(len(found), len(words), found)
        for problem, word in zip(found, words):
            self.assertIn(word, problem)

    def test_accepts_what_one_disk_does(self):
        write = [begin(5, 10), done("write", 5, 10, 20)]
        self.check([*write, done("read", 0, 5, 9), done("read", 5, 21, 22)])
        self.check([*write, done("read", 0, 11, 15), done("read", 5, 16, 18)])

    def test_accepts_a_write_without_an_end_either_way(self):
        self.check([begin(5, 10), done("read", 5, 20, 21)])
        self.check([begin(5, 10), done("read", 0, 20, 21)])

    def test_finds_a_stale_read(self):
        write = [begin(5, 10), done("write", 5, 10, 20)]
        self.check([*write, done("read", 0, 21, 22)], "stale read")
        self.check([begin(5, 10), done("read", 5, 12, 13), done("read", 0, 14, 15)], "stale read")

    def test_finds_a_write_of_a_fenced_node(self):
        new = [begin(100, 10), done("write", 100, 10, 20)]
        self.check([*new, begin(7, 25), done("write", 7, 25, 30)], "fenced write")

    def test_finds_a_read_of_nothing_written(self):
        self.check([done("read", 9, 1, 2)], "before anybody wrote")

    def test_finds_a_torn_block(self):
        write = [begin(5, 10), done("write", 5, 10, 20)]
        self.check([*write, done("read", [0, 5], 15, 16)])
        self.check([*write, done("read", [0, 5], 21, 22)], "torn", "stale")
        self.check([begin(5, 10), done("read", [0, 5], 11, 12), done("read", 0, 13, 14)])


if __name__ == "__main__":
    unittest.main()
