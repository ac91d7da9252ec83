"""Operations of programs whose work is known."""

import jax
import jax.numpy as jnp
import pytest

from kernels.numerics.operations import LEAST, operations

LARGE = 100_000


def shaped(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float64)


def test_an_elementwise_function_counts_its_elements() -> None:
    assert operations(jnp.sin, shaped(LARGE)) == LARGE


def test_a_reduction_counts_what_it_reads() -> None:
    assert operations(lambda x: jax.lax.reduce(x, 0.0, jax.lax.add, (0,)), shaped(LARGE)) == LARGE


@pytest.mark.parametrize("index", [3, jnp.asarray(3), jnp.arange(LEAST)])
def test_what_is_taken_out_of_a_large_array_counts_and_not_the_array(index) -> None:
    assert operations(lambda x: x[index], shaped(LARGE)) < 20 * LEAST


def test_a_small_equation_counts_for_what_it_costs_to_begin() -> None:
    assert operations(jnp.sin, shaped()) == LEAST
    assert operations(jnp.sin, shaped(LEAST + 1)) == LEAST + 1


def test_nothing_costs_nothing() -> None:
    assert operations(lambda x: x, shaped(LARGE)) == 0


@pytest.mark.parametrize(
    ("left", "right", "products"),
    [((30, 40), (40, 50), 30 * 40 * 50), ((300, 40), (40,), 300 * 40), ((1000,), (1000,), 1000)],
)
def test_a_contraction_counts_its_products(left: tuple[int, ...], right: tuple[int, ...], products: int) -> None:
    assert operations(jnp.matmul, shaped(*left), shaped(*right)) == products


def test_a_batched_contraction_counts_the_products_of_all_of_its_batch() -> None:
    assert operations(jax.vmap(jnp.matmul), shaped(7, 30, 40), shaped(7, 40, 50)) == 7 * 30 * 40 * 50


@pytest.mark.parametrize("length", [1, 10, 1000])
def test_a_scan_counts_its_body_for_each_turn(length: int) -> None:
    def program(x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda carry, _: (jnp.sin(carry), None), x, None, length=length)[0]

    assert operations(program, shaped(LARGE)) == length * LARGE


def test_nested_scans_multiply() -> None:
    def inner(x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda carry, _: (jnp.sin(carry), None), x, None, length=5)[0]

    def program(x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda carry, _: (inner(carry), None), x, None, length=7)[0]

    assert operations(program, shaped(LARGE)) == 35 * LARGE


def test_a_loop_of_unknown_length_counts_once() -> None:
    def program(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: x[0] < 1.0, jnp.exp, x)

    found = operations(program, shaped(LARGE))
    assert found == LARGE + 3 * LEAST


def test_a_choice_counts_its_dearest_branch() -> None:
    def program(x: jax.Array) -> jax.Array:
        return jax.lax.cond(True, lambda x: jnp.sin(jnp.cos(jnp.tan(x))), jnp.sin, x)

    found = operations(program, shaped(LARGE))
    assert 3 * LARGE <= found < 4 * LARGE


def test_inner_programs_count_as_if_they_stood_there() -> None:
    plain = operations(lambda x: jnp.sin(jnp.cos(x)), shaped(LARGE))
    assert operations(jax.jit(lambda x: jnp.sin(jnp.cos(x))), shaped(LARGE)) == plain
    assert operations(jax.checkpoint(lambda x: jnp.sin(jnp.cos(x))), shaped(LARGE)) == plain


def test_a_gradient_is_dearer_than_its_function_and_a_batch_than_one() -> None:
    def density(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.exp(x) * jnp.sin(x))

    value = operations(density, shaped(LARGE))
    assert value < operations(jax.value_and_grad(density), shaped(LARGE)) < 10 * value
    assert operations(jax.vmap(density), shaped(8, LARGE)) == pytest.approx(8 * value, rel=0.01)
