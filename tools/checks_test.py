"""The checks notice what they are there for."""
import importlib.machinery
import importlib.util
import pathlib
import sys
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))
sys.dont_write_bytecode = True


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, str(TOOLS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


dependencies = load("check_dependencies")
sizes = load("check_sizes")
words = load("check_words")
comments = load("wrap_comments")


class Dependencies(unittest.TestCase):
    def check(self, name, text, count):
        found = dependencies.problems(name, text)
        self.assertEqual(len(found), count, found)

    def test_allows_the_direction(self):
        self.check("src/engine/volume.h", '#include "store/pool.h"\n#include "wire/codec.h"\n', 0)

    def test_refuses_the_way_back(self):
        self.check("src/store/pool.cc", '#include "engine/volume.h"\n', 1)
        self.check("src/control/api.cc", '#include "engine/volume.h"\n', 1)
        self.check("src/core/types.h", '#include "io/task.h"\n', 1)

    def test_cli_knows_only_the_api(self):
        self.check("src/cli/main.cc", '#include "control.pb.h"\n#include "common/units.h"\n', 0)
        self.check("src/cli/main.cc", '#include "control/volume_manager.h"\n', 1)

    def test_only_programs_name_implementations(self):
        self.check("src/engine/volume.cc", '#include "io/uring_disk.h"\n', 1)
        self.check("src/engine/volume_test.cc", '#include "io/uring_disk.h"\n', 0)
        self.check("src/node/main.cc", '#include "io/uring_disk.h"\n', 0)

    def test_pure_modules_have_no_clock(self):
        self.check("src/core/lease.cc", "auto t = std::chrono::steady_clock::now();\n", 1)
        self.check("src/core/lease.cc", "// std::chrono::steady_clock::now()\n", 0)
        self.check("src/store/pool.cc", 'const char* home = getenv("HOME");\n', 1)

    def test_a_new_module_needs_a_row(self):
        self.check("src/newcomer/a.cc", "int a;\n", 1)


class Sizes(unittest.TestCase):
    def function_lengths(self, text):
        return [(name, length) for name, _, length in sizes.functions(text)]

    def test_measures_functions(self):
        text = "namespace a {\nclass B : public C {\n  int f() const {\n"
        text += "    if (x) { y(); }\n  }\n};\n"
        text += "B::B(int x)\n    : x_(x) {\n  y();\n}\n}  // namespace a\n"
        self.assertEqual(self.function_lengths(text), [("f", 3), ("B::B", 4)])

    def test_is_not_fooled_by_literals(self):
        text = 'void f() {\n  g("}{", \'{\', R"(}\n)");  // }\n#define X {\n'
        text += "  h(1'000);\n}\nint a[] = {1};\n"
        self.assertEqual(self.function_lengths(text), [("f", 6)])

    def test_reports_what_is_too_long(self):
        long_body = "void f() {\n" + "  g();\n" * 70 + "}\n"
        self.assertEqual(len(list(sizes.cpp_excesses("a.cc", long_body))), 1)
        self.assertEqual(len(list(sizes.cpp_excesses("a.h", "int a;\n" * 201))), 1)
        self.assertEqual(len(list(sizes.column_excesses("a.h", "x" * 101 + "\n"))), 1)
        table = 'f(R"(\n' + "x" * 101 + '\n)");\n'
        self.assertEqual(len(list(sizes.column_excesses("a.cc", table))), 0)

    def test_only_ratchets(self):
        excess = [("a.cc lines", 800, 700, "a.cc")]
        self.assertTrue(sizes.compare(excess, {})[0])
        self.assertTrue(sizes.compare(excess, {"a.cc lines": 750})[0])
        self.assertFalse(sizes.compare(excess, {"a.cc lines": 800})[0])
        problems, kept = sizes.compare(excess, {"a.cc lines": 900})
        self.assertTrue(problems)
        self.assertEqual(kept, {"a.cc lines": 800})


class Words(unittest.TestCase):
    def test_finds_synonyms_of_ours(self):
        for line in ("int master;", "the slave", "write_chunk(x)", "target_node", "volume object"):
            self.assertTrue(words.problems("src/engine/a.cc", line), line)

    def test_leaves_other_meanings(self):
        for line in ("heap_child", "child process", "unichunky", "a target rate"):
            self.assertFalse(words.problems("src/engine/a.cc", line), line)
        self.assertFalse(words.problems("src/frontend/nbd/reply.cc", "a reply chunk"))
        self.assertFalse(words.problems("src/a/b.h", "// https://x.org/blob/master/doc.md"))

    def test_finds_what_is_unfinished(self):
        for line in ("// TODO: x", "TEST(A, DISABLED_b)", "rm x || true", "/root/x", "/tmp/w/x"):
            self.assertTrue(words.problems("docs/a.md", line), line)
        self.assertFalse(words.problems("lab/a.sh", "mktemp -d /tmp/cleat.XXXXXX"))


class Comments(unittest.TestCase):
    def test_wraps_into_the_same_paragraph_only(self):
        long = "// " + "four " * 19 + "ab tail"
        self.assertEqual(comments.wrap([long, "// and more"])[1], "// tail and more")
        label = "// Threading: any"
        self.assertEqual(comments.wrap([long, label])[1:], ["// tail", label])

    def test_indents_list_items(self):
        item = "//   - " + "four " * 18 + "ab tail"
        self.assertEqual(comments.wrap([item, "//   - b"])[1:], ["//     tail", "//   - b"])
        self.assertEqual(comments.wrap([item, "//     b"])[1:], ["//     tail b"])

    def test_leaves_what_fits(self):
        lines = ["// short", "// lines", "code();  // " + "x" * 120]
        self.assertEqual(comments.wrap(lines), lines)


if __name__ == "__main__":
    unittest.main()
