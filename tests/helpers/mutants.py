"""Real models' sources with one mistake made in them: a number, an axis, a name, a step left out."""

import ast
import copy
import random
from pathlib import Path

STEPS = {
    "transpose",
    "permute",
    "flatten",
    "reshape",
    "view",
    "unsqueeze",
    "expand",
    "chunk",
    "mean",
    "split",
    "repeat",
}
NAMES = {
    "dim": "heads",
    "heads": "dim_head",
    "inner_dim": "dim",
    "dim_head": "dim",
    "hidden_dim": "dim",
    "mlp_dim": "dim",
    "patch_dim": "dim",
    "num_patches": "dim",
    "b": "n",
    "n": "b",
    "h": "w",
    "w": "h",
}


def lists(statement: ast.stmt) -> bool:
    """Whether a statement enters models into a library's list, in the place of the true ones."""
    named = [ast.unparse(one) for one in getattr(statement, "decorator_list", ())]
    called = ast.unparse(statement) if isinstance(statement, ast.Expr) else ""
    return "register_model" in named or called.startswith("register_model")


class Mistake(ast.NodeTransformer):
    """Makes the mistake number `at` in the classes of a module; says which in `what`. Past the last it only counts."""

    def __init__(self, at: int) -> None:
        self.at, self.count, self.what, self.random = at, 0, "", random.Random(at)

    def here(self, node: ast.AST, what: str) -> bool:
        self.count += 1
        if self.count - 1 == self.at:
            self.what = f"line {node.lineno}: {what}"
        return self.count - 1 == self.at

    def visit_Module(self, node):
        node.body = [self.visit(one) if isinstance(one, ast.ClassDef) else one for one in node.body if not lists(one)]
        return node

    def visit_Constant(self, node):
        value = node.value
        if type(value) is int:
            new = self.random.choice([value + 1, value - 1, value * 2 or 3])
            return ast.copy_location(ast.Constant(new), node) if self.here(node, f"{value} → {new}") else node
        if isinstance(value, str) and "->" in value:
            words = value.split()
            named = [place for place, word in enumerate(words) if word.isidentifier()]
            one, two = self.random.sample(named, 2) if len(named) > 1 else (0, 0)
            words[one], words[two] = words[two], words[one]
            new = " ".join(words)
            return ast.copy_location(ast.Constant(new), node) if self.here(node, f"{value} → {new}") else node
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        named = isinstance(node.func, ast.Attribute) and node.func.attr in STEPS
        return node.func.value if named and self.here(node, f"no .{node.func.attr}") else node

    def visit_BinOp(self, node):
        self.generic_visit(node)
        works = isinstance(node.op, (ast.FloorDiv, ast.Mult, ast.Add))
        return self.random.choice([node.left, node.right]) if works and self.here(node, "half of it") else node

    def visit_Name(self, node):
        other = NAMES.get(node.id) if isinstance(node.ctx, ast.Load) else None
        wrong = other and self.here(node, f"{node.id} → {other}")
        return ast.copy_location(ast.Name(other, node.ctx), node) if wrong else node


OPERATORS = {
    ast.Add: ast.MatMult,
    ast.Mult: ast.Add,
    ast.Sub: ast.MatMult,
    ast.MatMult: ast.Mult,
    ast.Div: ast.FloorDiv,
}
CASTS = ("half", "double", "long", "bool", "bfloat16", "flatten", "tolist")


class Slip(Mistake):
    """More mistakes, outside constructors: misspelled names, arguments and lines left out, operators, dtypes."""

    def visit_FunctionDef(self, node):
        return node if node.name == "__init__" else self.generic_visit(node)

    def visit_Attribute(self, node):
        self.generic_visit(node)
        wrong = isinstance(node.ctx, ast.Load) and self.here(node, f".{node.attr}x")
        return ast.copy_location(ast.Attribute(node.value, f"{node.attr}x", node.ctx), node) if wrong else node

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load) and node.id != "self" and self.here(node, f"{node.id}x"):
            return ast.copy_location(ast.Name(f"{node.id}x", node.ctx), node)
        return super().visit_Name(node)

    def visit_Call(self, node):
        node = super().visit_Call(node)
        if not isinstance(node, ast.Call):
            return node
        if node.args and self.here(node, "an argument left out"):
            return ast.copy_location(ast.Call(node.func, node.args[:-1], node.keywords), node)
        if len(node.args) > 1 and self.here(node, "arguments swapped"):
            return ast.copy_location(ast.Call(node.func, [*node.args[1::-1], *node.args[2:]], node.keywords), node)
        if node.keywords and self.here(node, f"no {node.keywords[0].arg}"):
            return ast.copy_location(ast.Call(node.func, node.args, node.keywords[1:]), node)
        cast = self.random.choice(CASTS)
        if isinstance(node.func, ast.Attribute) and self.here(node, f"as {cast}"):
            return ast.copy_location(ast.Call(ast.Attribute(node, cast, ast.Load()), [], []), node)
        return node

    def visit_BinOp(self, node):
        node = super().visit_BinOp(node)
        other = OPERATORS.get(type(node.op)) if isinstance(node, ast.BinOp) else None
        if other and self.here(node, other.__name__):
            return ast.copy_location(ast.BinOp(node.left, other(), node.right), node)
        return node

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        return node.operand if isinstance(node.op, ast.USub) and self.here(node, "no minus") else node

    def visit_Assign(self, node):
        self.generic_visit(node)
        return ast.copy_location(ast.Pass(), node) if self.here(node, "line left out") else node

    def visit_Return(self, node):
        self.generic_visit(node)
        wrong = node.value is not None and self.here(node, "returns nothing")
        return ast.copy_location(ast.Return(None), node) if wrong else node


def mistakes(path: Path, kind: type[Mistake] = Mistake) -> int:
    """How many mistakes of a kind can be made in a file."""
    counting = kind(-1)
    counting.visit(ast.parse(path.read_text()))
    return counting.count


def mutant(path: Path, at: int, kind: type[Mistake] = Mistake) -> tuple[str, str]:
    """(source with mistake number `at`, what it is)"""
    tree = ast.parse(path.read_text())
    mistake = kind(at)
    changed = mistake.visit(copy.deepcopy(tree))
    return ast.unparse(ast.fix_missing_locations(changed)), mistake.what
