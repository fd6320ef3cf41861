"""Recall of SQLite FTS5 and PostgreSQL FTS on the gold queries of `catalog/tests/data/search`, for the table in docs/search.md.

    python3 bench/search_gold.py [POSTGRES_DSN]

Each is set up as its manual suggests for these texts, with no code of ours: all words must occur, the last may be the beginning of
one, the best ten by the system's own rank. PostgreSQL stems Russian titles, has both the stemmed and the plain words of a query,
and looks for similar words by trigrams (pg_trgm) where nothing was found. Our own figures are printed by
`cargo test --workspace --locked --lib people_find_what_they_look_for -- --nocapture`.
"""
import collections
import pathlib
import re
import sqlite3
import sys

DATA = pathlib.Path(__file__).parent.parent / "catalog/tests/data/search"
FIRST = 10


def records():
    for name in ("titles.tsv", "kato.tsv"):
        for line in (DATA / name).read_text().splitlines():
            record, russian, *kazakh = line.split("\t")
            yield record, russian, "".join(kazakh)


def gold():
    for line in (DATA / "gold.tsv").read_text().splitlines():
        kind, query, expected = line.split("\t")
        yield kind, query, set(expected.split())


def words(query):
    return re.findall(r"\w+", query)


def sqlite():
    base = sqlite3.connect(":memory:")
    base.execute("create virtual table f using fts5(id unindexed, russian, kazakh, tokenize='unicode61 remove_diacritics 2')")
    base.executemany("insert into f values (?, ?, ?)", records())

    def ask(query):
        if query.startswith('"'):
            match = '"' + " ".join(words(query)) + '"'
        else:
            match = " AND ".join(f'"{word}"' for word in words(query)) + "*"
        return [row[0] for row in base.execute("select id from f where f match ? order by rank limit ?", [match, FIRST])]

    return ask


def postgres(dsn):
    import psycopg

    base = psycopg.connect(dsn, autocommit=True)
    base.execute("create extension if not exists pg_trgm")
    base.execute("create temp table f (id text, russian text, kazakh text, words tsvector)")
    with base.cursor().copy("copy f (id, russian, kazakh) from stdin") as copy:
        for record in records():
            copy.write_row(record)
    base.execute("""update f set words = setweight(to_tsvector('russian', russian), 'A')
                    || setweight(to_tsvector('simple', russian || ' ' || kazakh), 'A')""")

    def ask(query):
        if query.startswith('"'):
            typed = "phraseto_tsquery('simple', %(query)s)"
        else:
            typed = "plainto_tsquery('russian', %(query)s) || to_tsquery('simple', %(prefix)s)"
        given = {"query": query, "prefix": " & ".join(words(query)) + ":*", "first": FIRST}
        found = base.execute(f"""select id from f, (select {typed} as q) typed where words @@ q
                                 order by ts_rank_cd(words, q) desc, id limit %(first)s""", given).fetchall()
        if not found:
            found = base.execute("""select id from f where %(query)s <%% (russian || ' ' || kazakh)
                                    order by %(query)s <<-> (russian || ' ' || kazakh), id limit %(first)s""", given).fetchall()
        return [row[0] for row in found]

    return ask


def main():
    engines = {"SQLite FTS5": sqlite()}
    if len(sys.argv) > 1:
        engines["PostgreSQL"] = postgres(sys.argv[1])
    recalls = collections.defaultdict(lambda: collections.defaultdict(list))
    for kind, query, expected in gold():
        for name, ask in engines.items():
            found = sum(record in expected for record in ask(query)) / min(len(expected), FIRST)
            recalls[kind][name].append(found)
            recalls["all"][name].append(found)
    print("| queries | | " + " | ".join(engines) + " |")
    print("|---|---|" + "---|" * len(engines))
    for kind, by_engine in sorted(recalls.items()):
        means = [f"{sum(by_engine[name]) / len(by_engine[name]):.2f}" for name in engines]
        print(f"| {kind} | {len(by_engine[next(iter(engines))])} | " + " | ".join(means) + " |")


if __name__ == "__main__":
    main()
