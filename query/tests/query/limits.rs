//! Limits: memory, time, cancelling, panics; one statement's end is nobody else's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::Int64Array;
use sheaf_store::Kind;

use crate::harness::{House, MIB, block_on, question};

/// What takes for ever: 10^12 pairs.
const ENDLESS: &str = "select sum(a.n * b.n % 7) from t a, t b";

fn busy(house: &House) {
    house.count("t", 1_000_000);
}

/// Waits until what statements use of it is nothing.
fn comes_to_nothing(house: &House, setting: &str, within: Duration) {
    let text = format!("select value from system.settings where name = '{setting}'");
    for _ in 0..within.as_millis() / 10 {
        if house.told(&text) == "0" {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{setting} is {} after {within:?}", house.told(&text));
}

#[test]
fn a_statement_ends_at_its_time() {
    let house =
        House::with(256 * MIB, |options, _| options.timeout = Some(Duration::from_millis(300)));
    busy(&house);
    let start = Instant::now();

    let error = house.sql(ENDLESS).unwrap_err();

    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(house.number("select 1"), 1);
}

#[test]
fn time_ends_what_never_yields_and_what_is_still_planned() {
    let house =
        House::with(256 * MIB, |options, _| options.timeout = Some(Duration::from_millis(300)));
    house.count("t", 300_000);
    for text in [
        // A nested loop without rows; and a constant, which is computed in the plan.
        "select count(*) from t a join t b on a.n * b.n + a.n = -1",
        "select levenshtein(repeat('a', 20000), repeat('b', 20000))",
    ] {
        let start = Instant::now();

        let error = house.sql(text).unwrap_err();

        assert_eq!(error.kind(), Kind::Timeout, "{error}");
        assert!(start.elapsed() < Duration::from_secs(4), "{text}: {:?}", start.elapsed());
        assert_eq!(house.number("select 1"), 1, "others are answered meanwhile");
    }
    comes_to_nothing(&house, "used.statements", Duration::from_secs(1));
}

#[test]
fn what_doubles_itself_is_refused() {
    let house = House::new();
    let mut text = "with a0 as (select 1 as n)".to_owned();
    for step in 1..30 {
        let before = step - 1;
        text += &format!(", a{step} as (select x.n from a{before} x cross join a{before} y)");
    }
    let start = Instant::now();

    let error = house.sql(&format!("{text} select count(*) from a29")).unwrap_err();

    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert!(error.to_string().contains("536870912 tables; the limit is"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_session_sets_its_own_time_within_the_operators() {
    let house = House::new();
    busy(&house);
    let session = house.session();
    session.set("sheaf.timeout_ms", Some("100")).unwrap();

    // Whichever takes so long.
    let error = match block_on(session.plan(question(ENDLESS))) {
        Ok(planned) => block_on(planned.object(None)).unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), Kind::Timeout, "{error}");

    session.set("sheaf.timeout_ms", None).unwrap();
    block_on(
        block_on(session.plan(question("set sheaf.timeout_ms = '250'"))).unwrap().object(None),
    )
    .unwrap();
    assert_eq!(session.settings(), [("sheaf.timeout_ms".to_owned(), "250".to_owned())]);
    for (name, value, kind) in [
        ("sheaf.timeout_ms", "soon", Kind::Invalid),
        ("sheaf.nothing", "1", Kind::Invalid),
        ("datafusion.runtime.memory_limit", "1G", Kind::Denied),
        ("datafusion.catalog.default_schema", "system", Kind::Denied),
        ("datafusion.execution.target_partitions", "100000", Kind::Invalid),
    ] {
        let error = session.set(name, Some(value)).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
    }
    session.set("sheaf.timeout_ms", None).unwrap();
    assert!(session.settings().is_empty());
}

#[test]
fn what_needs_more_memory_than_it_may_have_spills_or_fails_and_others_go_on() {
    let house = House::with(512 * MIB, |options, folder| {
        options.memory_bytes = 24 * MIB;
        options.spill = folder.to_owned();
    });
    house.count("t", 1_000_000);

    // A sort and an aggregation spill.
    let sorted = "select max(m) from (select n * 7919 % 1000003 as m, \
         row_number() over (order by n * 7919 % 1000003) as r from t)";
    assert_eq!(house.number(sorted), 1_000_002);
    assert_eq!(
        house.number("select count(*) from (select n, count(*) from t group by n)"),
        1_000_000
    );
    // What can't be cut does not fit.
    let error = house.sql("select array_agg(repeat(s || n, 20)) from t").unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{error}");
    assert!(error.to_string().contains("--sql-memory"), "{error}");

    assert_eq!(house.number("select count(*) from t"), 1_000_000);
    comes_to_nothing(&house, "used.memory_bytes", Duration::from_secs(2));
}

#[test]
fn what_makes_much_of_little_is_refused_before_it_does() {
    let house = House::with(256 * MIB, |options, _| options.memory_bytes = 64 * MIB);
    house.count("t", 20_000);
    for text in [
        "octet_length(repeat(arrow_cast('x', 'LargeUtf8'), 100000000000000))",
        "octet_length(repeat(s, n * 1000))",
        "octet_length(lpad(s, 2000000000))",
        "octet_length(rpad('x', 2147483647, 'y'))",
        "octet_length(replace(repeat('x', 1000000), 'x', repeat('y', 1000)))",
        "octet_length(concat(repeat(s, 1000), repeat(s, 1001)))",
        "octet_length(concat(s, repeat(arrow_cast('x', 'LargeUtf8'), 40000000)))",
        "array_length(range(1, 100000000))",
        "array_length(generate_series(0, 10000000000000, 2))",
        "array_length(generate_series(timestamp '2000-01-01', timestamp '2200-01-01', \
         interval '1 microsecond'))",
        "array_length(array_repeat(s, 100000000))",
        "array_length(array_resize([1, 2], 1000000000, 0))",
    ] {
        let error = house.sql(&format!("select {text} from t")).expect_err(text);
        assert_eq!(error.kind(), Kind::Full, "{text}: {error}");
        assert!(error.to_string().contains("would make"), "{text}: {error}");
    }
    assert_eq!(house.number("select sum(octet_length(repeat(s, 3))) from t"), 18 * 20_000);
    assert_eq!(house.number("select octet_length(rpad('x', 1000, 'yz'))"), 1000);
    assert_eq!(house.number("select array_length(generate_series(1, 1000, 3))"), 334);
    assert_eq!(house.told("select concat('a', null, s) from t where n = 3"), "aword 3");
    assert_eq!(
        house.number(
            "select array_length(range(date '2024-01-01', date '2024-03-01', \
                      interval '1' day))"
        ),
        60
    );
}

#[test]
fn a_client_that_leaves_ends_its_statement() {
    let house = House::new();
    busy(&house);
    let session = house.session();

    let planned = block_on(session.plan(question(ENDLESS))).unwrap();
    let rows = planned.stream();
    std::thread::sleep(Duration::from_millis(200));
    drop(rows);

    comes_to_nothing(&house, "used.statements", Duration::from_secs(1));
}

#[test]
fn pairs_that_come_to_nothing_end_as_well() {
    let house = House::new();
    busy(&house);
    let session = house.session();
    // A nested loop that makes no row: it yields nowhere.
    let text = "select count(*) from t a join t b on a.n * b.n + a.n = -1";

    let planned = block_on(session.plan(question(text))).unwrap();
    let rows = planned.stream();
    std::thread::sleep(Duration::from_millis(200));
    drop(rows);

    comes_to_nothing(&house, "used.statements", Duration::from_secs(1));
}

#[test]
fn many_statements_share_the_threads() {
    let house = House::new();
    busy(&house);
    let session = house.session();
    let long: Vec<_> =
        (0..4).map(|_| block_on(session.plan(question(ENDLESS))).unwrap().stream()).collect();
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();

    assert_eq!(house.number("select count(*) from t where n % 3 = 0"), 333_334);

    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(long);
}

#[test]
fn deep_and_long_statements_are_no_danger() {
    let house = House::new();
    house.put("t", vec![("n", Arc::new(Int64Array::from(vec![1])) as _)]);

    let sum = format!("select {}n from t", "n + ".repeat(1000));
    assert_eq!(house.number(&sum), 1001);
    for statement in [
        format!("select {}n from t", "n + ".repeat(200_000)),
        format!("select {}n{} from t", "(".repeat(100_000), ")".repeat(100_000)),
        format!("select n from t where {} n > 0", "n > 0 and ".repeat(100_000)),
        format!("select * from {}", vec!["t"; 10_000].join(", ")),
        format!("select {}1{}", "case when true then ".repeat(5_000), " end".repeat(5_000)),
        format!("select now(){}", " at time zone 'UTC'".repeat(100_000)),
        format!("{}select 1", "explain ".repeat(400_000)),
        format!("select * from t{}", " unpivot(a for b in (c))".repeat(100_000)),
        "x".repeat(8 << 20),
    ] {
        let _ = house.sql(&statement);
        assert_eq!(house.number("select count(*) from t"), 1, "{}", &statement[..40]);
    }
}
