"""A folder of the lake opens in readers that are not ours, and they count and sum as `tickhouse sql` does."""

import csv
import io
import subprocess
from decimal import Decimal

import chdb
import deltalake
import polars
import pyarrow
import pyarrow.compute
import pytest

# More digits than any venue gives, few enough that a double keeps them.
SCALE = 8
SUMS = f"count(*), sum(cast(price as decimal(38,{SCALE}))), sum(cast(quantity as decimal(38,{SCALE})))"


@pytest.fixture(scope="module")
def lake(start, place):
    """The lake of a demo that ran for twenty seconds and closed."""
    demo = start(place, "demo", "--data", "data", "--for", "20s", "--port", 0, "--seed", 7)
    demo.wait(90)
    return place / "data" / "lake"


@pytest.fixture(scope="module")
def expected(binary, lake):
    """Count and sums by our own SQL."""
    answer = subprocess.run(
        [binary, "sql", "--data", lake.parent, "--format", "csv", f"select {SUMS} from trades"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    heading, row = csv.reader(io.StringIO(answer.stdout))
    assert len(heading) == 3
    result = int(row[0]), Decimal(row[1]), Decimal(row[2])
    assert result[0] > 100 and result[1] > 0 and result[2] > 0, result
    return result


def test_polars_scan_delta(lake, expected):
    exact = polars.Decimal(38, SCALE)
    frame = polars.scan_delta(str(lake / "trades"))
    row = frame.select(
        polars.len().alias("count"),
        polars.col("price").cast(exact).sum(),
        polars.col("quantity").cast(exact).sum(),
    ).collect()
    assert row.row(0) == expected


def test_deltalake(lake, expected):
    exact = pyarrow.decimal128(38, SCALE)
    table = deltalake.DeltaTable(str(lake / "trades"))
    rows = pyarrow.table(table.to_pyarrow_table(columns=["price", "quantity"]))
    sums = [pyarrow.compute.sum(rows[name].cast(exact)).as_py() for name in ("price", "quantity")]
    assert (rows.num_rows, *sums) == expected


def test_clickhouse(lake, expected, monkeypatch):
    # ClickHouse reads local folders only below the current one, and wants their whole path. It cuts digits when it casts
    # a double to a decimal, which is why numbers go through their text.
    monkeypatch.chdir(lake)
    exact = f"sum(toDecimal128(toString({{}}), {SCALE}))"
    query = f"select count(), {exact.format('price')}, {exact.format('quantity')} from deltaLakeLocal('{lake / 'trades'}')"
    count, price, quantity = next(csv.reader(io.StringIO(str(chdb.query(query, "CSV")))))
    assert (int(count), Decimal(price), Decimal(quantity)) == expected


@pytest.mark.parametrize("name", ["bars", "instruments", "trades"])
def test_every_reader_sees_the_same_columns(lake, expected, monkeypatch, name):
    monkeypatch.chdir(lake)
    ours = [field.name for field in deltalake.DeltaTable(str(lake / name)).schema().fields]
    assert polars.scan_delta(str(lake / name)).collect_schema().names() == ours
    described = str(chdb.query(f"describe deltaLakeLocal('{lake / name}')", "CSV"))
    assert [row[0] for row in csv.reader(io.StringIO(described))] == ours
