//! Rules of the search by words, in the part of the log that is indexed and in the part that is not.

use fusion_core::{AgentId, EventType, NewEvent, RunId, Severity};
use uuid::Uuid;

use super::log::{NONE, append, event, places};
use super::sample::at;
use crate::{EventFilter, Prune, Store};

/// Enough that some are in the index of any store, and the newest are not.
const MANY: u64 = 2_700;

/// The message of the event at a place: each place has a word of its own, and some have others.
fn message(place: u64) -> String {
    let mut words = format!("unit-{place}: done");
    for (every, word) in [
        (7, "Reviewer's PRÜFUNG"),
        (11, "ΟΔΟΣ λόγος"),
        (13, "(東京都)"),
        (17, "naïve_straße"),
        (19, "e\u{301}tat \u{11f0b}\u{1e4d0}x"),
    ] {
        if place.is_multiple_of(every) {
            words.push(' ');
            words.push_str(word);
        }
    }
    words
}

fn told(place: u64) -> NewEvent {
    let id = u128::from(place);
    NewEvent {
        event_type: [EventType::TaskQueued, EventType::TaskFailed]
            [usize::from(place.is_multiple_of(2))],
        severity: [Severity::Info, Severity::Error][usize::from(place.is_multiple_of(5))],
        source_agent_id: Some(AgentId::from_uuid(Uuid::from_u128(id % 3))),
        run_id: (place > 9).then(|| RunId::from_uuid(Uuid::from_u128(id % 4))),
        ..event(id, i64::try_from(place).unwrap(), &message(place))
    }
}

async fn tell(store: &dyn Store, count: u64) {
    let mut next = 1;
    while next <= count {
        let end = count.min(next + 299);
        append(store, (next..=end).map(told).collect()).await;
        next = end + 1;
    }
}

fn wanting(text: &str) -> EventFilter {
    EventFilter {
        text: Some(text.to_owned()),
        ..EventFilter::default()
    }
}

/// Walks all hits back in pages.
async fn walk(store: &dyn Store, filter: &EventFilter, limit: u32) -> Vec<u64> {
    let mut found = vec![];
    let mut before = None;
    loop {
        let page = store.events_before(filter, before, limit).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= usize::try_from(limit).unwrap());
        assert!(
            found.last().is_none_or(|end| page[0].seq < *end),
            "seen before"
        );
        before = Some(last.seq);
        found.extend(places(&page));
    }
    found.reverse();
    found
}

/// The hits are exactly these places: backwards in pages, and forwards.
async fn finds(store: &dyn Store, filter: &EventFilter, wanted: impl Fn(u64) -> bool) {
    let wanted: Vec<u64> = (1..=MANY).filter(|place| wanted(*place)).collect();
    assert_eq!(walk(store, filter, 40).await, wanted, "{filter:?}");
    let forwards = store.events_after(filter, 0, 10_000).await.unwrap();
    assert_eq!(places(&forwards), wanted, "forwards: {filter:?}");
}

/// Words are found in any order and case and in any script; what is no letter or digit only parts
/// them.
pub async fn events_are_found_by_their_words(store: &dyn Store) {
    tell(store, MANY).await;
    for text in [
        "PRÜFUNG",
        "prüfung reviewer",
        "  reviewer's -- ",
        "\"REVIEWER\" & s:",
    ] {
        finds(store, &wanting(text), |place| place.is_multiple_of(7)).await;
    }
    for text in ["οδοσ", "Οδος", "ΛΌΓΟΣ οδος"] {
        finds(store, &wanting(text), |place| place.is_multiple_of(11)).await;
    }
    for text in ["東京都", "東京都 done unit"] {
        finds(store, &wanting(text), |place| place.is_multiple_of(13)).await;
    }
    for text in ["straße", "NAÏVE strasse", "naïve_STRASSE"] {
        finds(store, &wanting(text), |place| place.is_multiple_of(17)).await;
    }
    finds(store, &wanting("E tat"), |place| place.is_multiple_of(19)).await;
    finds(store, &wanting("unit 2600"), |place| place == 2_600).await;
    finds(store, &wanting("26"), |place| place == 26).await;
    for text in ["prüf", "rüfung", "unitx", "done absent", "naive", "東京"] {
        finds(store, &wanting(text), |_| false).await;
    }
}

/// A star stands for whatever a word goes on with, also for nothing.
pub async fn events_are_found_by_the_beginnings_of_words(store: &dyn Store) {
    tell(store, MANY).await;
    for text in ["prüf*", "PRÜFUNG*", "rev* PR*", "prüf** reviewer"] {
        finds(store, &wanting(text), |place| place.is_multiple_of(7)).await;
    }
    finds(store, &wanting("ΟΔΟ* λό*"), |place| {
        place.is_multiple_of(11)
    })
    .await;
    finds(store, &wanting("東*"), |place| place.is_multiple_of(13)).await;
    finds(store, &wanting("stras*"), |place| place.is_multiple_of(17)).await;
    let begins = |place: u64| place.to_string().starts_with("26");
    finds(store, &wanting("26* unit"), begins).await;
    finds(store, &wanting("UNI* 77* reviewer"), |place| {
        place.is_multiple_of(7) && place.to_string().starts_with("77")
    })
    .await;
    for text in ["rüf*", "prüf *", "*prüf"] {
        finds(store, &wanting(text), |_| false).await;
    }
}

/// Letters that are younger than the tables of a database are found like others.
pub async fn words_in_young_scripts_are_found(store: &dyn Store) {
    tell(store, MANY).await;
    for text in ["\u{11f0b}\u{1e4d0}x", "\u{11f0b}\u{1e4d0}X*"] {
        let filter = wanting(text);
        let hits = walk(store, &filter, 500).await;
        let forwards = store.events_after(&filter, 0, 10_000).await.unwrap();
        assert_eq!(hits, places(&forwards), "the index agrees with the words");
        let wanted: Vec<u64> = (1..=MANY)
            .filter(|place| place.is_multiple_of(19))
            .collect();
        assert_eq!(hits, wanted, "{text}");
    }
}

/// A text without a letter or digit asks for no word, and finds nothing.
pub async fn a_search_without_a_word_finds_nothing(store: &dyn Store) {
    tell(store, 3).await;
    for text in ["", "  ", "--", "*", "'\"*&|!():\\", "\u{0}"] {
        let filter = wanting(text);
        assert_eq!(
            store.events_before(&filter, None, 10).await.unwrap(),
            [],
            "{text:?}"
        );
        assert_eq!(
            store.events_after(&filter, 0, 10).await.unwrap(),
            [],
            "{text:?}"
        );
    }
}

/// Words and the other conditions must hold together.
pub async fn a_search_is_combined_with_the_other_conditions(store: &dyn Store) {
    tell(store, MANY).await;
    let prüfung = || wanting("prüfung");
    let agents = vec![AgentId::from_uuid(Uuid::from_u128(1))];
    finds(
        store,
        &EventFilter {
            agents: agents.clone(),
            ..prüfung()
        },
        |place| place.is_multiple_of(7) && place % 3 == 1,
    )
    .await;
    let types = vec!["*.failed".to_owned()];
    finds(
        store,
        &EventFilter {
            types: types.clone(),
            ..prüfung()
        },
        |place| place.is_multiple_of(14),
    )
    .await;
    let severities = vec![Severity::Error];
    let (since, until) = (Some(at(500)), Some(at(2_500)));
    let narrow = EventFilter {
        types,
        agents,
        severities,
        since,
        until,
        ..prüfung()
    };
    finds(store, &narrow, |place| {
        place.is_multiple_of(70) && place % 3 == 1 && (500..2_500).contains(&place)
    })
    .await;
    let types = vec!["message.*".to_owned()];
    finds(
        store,
        &EventFilter {
            types, ..prüfung()
        },
        |_| false,
    )
    .await;
}

/// In a log of which a part is indexed, each condition finds what it finds in a short one: backwards in pages
/// of any size, and forwards.
pub async fn events_of_a_long_log_are_found_by_each_condition(store: &dyn Store) {
    tell(store, MANY).await;
    let all = EventFilter::default;
    let agent = |number| AgentId::from_uuid(Uuid::from_u128(number));
    let run = |number| Some(RunId::from_uuid(Uuid::from_u128(number)));
    let types = |pattern: &str| vec![pattern.to_owned()];
    let (since, until) = (Some(at(700)), Some(at(1_900)));
    let of_run = only!(EventFilter, run: run(2));
    finds(store, &of_run, |place| place > 9 && place % 4 == 2).await;
    let agents = vec![agent(2), agent(0)];
    finds(store, &only!(EventFilter, agents), |place| place % 3 != 1).await;
    let failed = only!(EventFilter, types: types("task.f*"));
    finds(store, &failed, |place| place.is_multiple_of(2)).await;
    let both = only!(EventFilter, types: types("task.*"));
    finds(store, &both, |_| true).await;
    let severities = vec![Severity::Critical, Severity::Error];
    let wrong = only!(EventFilter, severities);
    finds(store, &wrong, |place| place.is_multiple_of(5)).await;
    let severities = vec![Severity::Info, Severity::Critical];
    let right = only!(EventFilter, severities);
    finds(store, &right, |place| !place.is_multiple_of(5)).await;
    finds(store, &only!(EventFilter, since), |place| place >= 700).await;
    finds(store, &only!(EventFilter, until), |place| place < 1_900).await;
    let times = only!(EventFilter, since, until);
    finds(store, &times, |place| (700..1_900).contains(&place)).await;
    let none = only!(EventFilter, since: until, until: since);
    finds(store, &none, |_| false).await;
    let agents = vec![agent(1), agent(7)];
    let (types, severities) = (types("*.failed"), vec![Severity::Error]);
    let together = EventFilter {
        types,
        agents,
        severities,
        run: run(2),
        since,
        until,
        ..all()
    };
    finds(store, &together, |place| {
        place % 60 == 10 && (700..1_900).contains(&place)
    })
    .await;
}

/// The times of a filter are those of the events, whatever order they were told in.
pub async fn events_that_were_told_late_are_found_by_their_times(store: &dyn Store) {
    // 1,009 has no part in common with the number of events: each time comes once.
    let time = |place: u64| place * 1_009 % MANY;
    let mut told_yet = 0;
    while told_yet < MANY {
        let some = (told_yet + 1)..=(told_yet + 300).min(MANY);
        told_yet = *some.end();
        let event = |place| NewEvent {
            timestamp: at(i64::try_from(time(place)).unwrap()),
            ..told(place)
        };
        append(store, some.map(event).collect()).await;
    }
    for (since, until) in [(0, 5), (1_300, 1_310), (2_690, MANY), (MANY, 2 * MANY)] {
        let filter = EventFilter {
            since: Some(at(i64::try_from(since).unwrap())),
            until: Some(at(i64::try_from(until).unwrap())),
            ..EventFilter::default()
        };
        finds(store, &filter, |place| {
            (since..until).contains(&time(place))
        })
        .await;
    }
}

/// A page forwards is as full as it can be, however far apart the hits are: a reader that got an
/// empty one has seen all.
pub async fn a_search_forwards_reaches_far_hits(store: &dyn Store) {
    tell(store, MANY).await;
    let filter = wanting("2600");
    for limit in [1, 5] {
        let found = store.events_after(&filter, 0, limit).await.unwrap();
        assert_eq!(places(&found), [2_600]);
    }
    let reviewed = wanting("reviewer");
    let mut place = 0;
    let mut seen = vec![];
    while let Some(last) = store
        .events_after(&reviewed, place, 9)
        .await
        .unwrap()
        .last()
    {
        let page = store.events_after(&reviewed, place, 9).await.unwrap();
        seen.extend(places(&page));
        place = last.seq;
    }
    let wanted: Vec<u64> = (1..=MANY).filter(|place| place.is_multiple_of(7)).collect();
    assert_eq!(seen, wanted);
}

/// Rare hits in a long log are found page by page, each once.
pub async fn rare_words_in_a_long_log_are_found_once_each(store: &dyn Store) {
    const EVERY: u128 = 1_500;
    for thousand in 0..28_u128 {
        let events = (thousand * 1_000 + 1..=(thousand + 1) * 1_000).map(|place| {
            let text = if place.is_multiple_of(EVERY) {
                "a rare one"
            } else {
                "common"
            };
            event(place, 1, text)
        });
        append(store, events.collect()).await;
    }
    let wanted: Vec<u64> = (1..=18).map(|number| number * 1_500).collect();
    for limit in [1, 2, 100] {
        assert_eq!(
            walk(store, &wanting("rare"), limit).await,
            wanted,
            "{limit} a page"
        );
    }
    let keyed = EventFilter {
        types: vec!["system.started".to_owned()],
        ..wanting("rare")
    };
    let forwards = store.events_after(&keyed, 0, 100).await.unwrap();
    assert_eq!(places(&forwards), wanted, "forwards, by its type");
    let common = store
        .events_before(&wanting("comm*"), Some(22_000), 3)
        .await
        .unwrap();
    assert_eq!(places(&common), [21_999, 21_998, 21_997]);
}

/// A message with one endless word, or with very many, is stored and found like others, and does not
/// stop those that come after it.
pub async fn endless_words_are_stored_and_found(store: &dyn Store) {
    let endless = "Ab9".repeat(20_000);
    let many: String = (0..30_000).map(|number| format!("w{number} ")).collect();
    append(store, vec![event(1, 1, &endless), event(2, 1, &many)]).await;
    append(
        store,
        (3..2_600).map(|number| event(number, 1, "after")).collect(),
    )
    .await;
    let read = store
        .events_after(&EventFilter::default(), 0, 2)
        .await
        .unwrap();
    assert_eq!(read[0].event.message, endless);
    assert_eq!(read[1].event.message, many);
    assert_eq!(walk(store, &wanting("ab9ab9AB*"), 10).await, [1]);
    assert_eq!(walk(store, &wanting(&"AB9".repeat(200)), 10).await, [1]);
    assert_eq!(walk(store, &wanting("w0 w77"), 10).await, [2]);
    append(
        store,
        (2_600..6_000)
            .map(|number| event(number, 1, "after"))
            .collect(),
    )
    .await;
    assert_eq!(walk(store, &wanting(&endless), 10).await, [1]);
    assert_eq!(walk(store, &wanting("w0 w77"), 10).await, [2]);
}

/// What age took is not found any more, what it left is; also when it took all.
pub async fn a_search_does_not_find_what_age_took(store: &dyn Store) {
    tell(store, MANY).await;
    let old = |seconds| Prune {
        events_before: Some(at(seconds)),
        limit: 900,
        ..Prune::default()
    };
    while store.prune(old(1_500)).await.unwrap() > 0 {}
    let reviewed = wanting("reviewer");
    let wanted: Vec<u64> = (1_500..=MANY)
        .filter(|place| place.is_multiple_of(7))
        .collect();
    assert_eq!(walk(store, &reviewed, 50).await, wanted);
    let failed = only!(EventFilter, types: vec!["task.failed".to_owned()]);
    let wanted: Vec<u64> = (1_500..=MANY).step_by(2).collect();
    assert_eq!(walk(store, &failed, 50).await, wanted);
    while store.prune(old(i64::from(u32::MAX))).await.unwrap() > 0 {}
    assert_eq!(walk(store, &reviewed, 50).await, NONE);
    let next = MANY + 1;
    assert_eq!(
        append(
            store,
            vec![event(u128::from(next), 1, "the Reviewer is back")]
        )
        .await,
        next
    );
    assert_eq!(walk(store, &reviewed, 50).await, [next]);
}
