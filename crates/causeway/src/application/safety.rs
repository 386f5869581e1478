//! What an application's cities bear as they are now, and what to do where that is not enough. Without I/O.

use hub::abi::{City, Safety};
use serde_json::{Value, json};

use crate::hub_client::registry::ACTIVE;
use crate::hub_client::words::city_status;

/// What may fail, for people.
pub(super) fn rows(safety: &Safety, name: &str, placed: &[&City]) -> Vec<(&'static str, String)> {
    let mut rows = vec![(
        "May fail",
        format!(
            "{} of {} cities, {} of {} institutions",
            safety.citiesMayFail, safety.cities, safety.institutionsMayFail, safety.institutions
        ),
    )];
    if safety.missing > 0 {
        rows.push(("Missing now", missing(placed).join(", ")));
    }
    rows.push(("Safe", verdict(safety, name, placed)));
    rows
}

/// The same for programs.
pub(super) fn to_json(safety: &Safety, name: &str, placed: &[&City]) -> Value {
    json!({
        "safe": safety.safe,
        "cities": safety.cities,
        "missing": safety.missing,
        "institutions": safety.institutions,
        "may_fail": {
            "cities": safety.citiesMayFail,
            "institutions": safety.institutionsMayFail,
        },
        "allow_concentration": safety.allowConcentration,
        "advice": advice(safety, name, placed),
    })
}

fn verdict(safety: &Safety, name: &str, placed: &[&City]) -> String {
    match advice(safety, name, placed) {
        Some(advice) if safety.safe => format!("yes; {advice}"),
        Some(advice) => format!("no: {advice}"),
        None if safety.safe => String::from("yes"),
        None => String::from("no"),
    }
}

/// What is in the way of safety, or its owner should know of it, and what to do.
fn advice(safety: &Safety, name: &str, placed: &[&City]) -> Option<String> {
    let (missing, may_fail) = (safety.missing, safety.citiesMayFail);
    if missing > may_fail {
        return Some(format!(
            "{} missing and {may_fail} may fail, so the chain stands until enough are back. {}",
            of_them(safety),
            back(placed)
        ));
    }
    if safety.institutionsMayFail == 0 && !safety.allowConcentration {
        return Some(format!(
            "when one institution fails the chain stops, which its owner did not allow. Add cities of other institutions: \
             causeway app change {name} --add LIST"
        ));
    }
    if missing > 0 {
        return Some(format!(
            "{} missing already. Its owner can put others in their place: causeway app change {name} --remove LIST --add LIST",
            of_them(safety)
        ));
    }
    (safety.institutionsMayFail == 0)
        .then(|| String::from("its owner allows that the chain stops when one institution fails"))
}

fn of_them(safety: &Safety) -> String {
    let are = if safety.missing == 1 { "is" } else { "are" };
    format!("{} of {} cities {are}", safety.missing, safety.cities)
}

/// How those come back without whom nothing goes on: no handover can be certified either.
fn back(placed: &[&City]) -> String {
    let suspended: Vec<String> = placed
        .iter()
        .filter(|city| city_status(city.status) == "suspended")
        .map(|city| city.id.to_string())
        .collect();
    if suspended.is_empty() {
        // Who is removed stays so.
        return String::from(
            "None of them can be restored: it can only be closed, and created anew",
        );
    }
    format!(
        "Members restore cities and the members that run them by vote, causeway governance propose restore; suspended: {}",
        suspended.join(", ")
    )
}

fn missing(placed: &[&City]) -> Vec<String> {
    let missing = placed.iter().filter(|city| city.status != ACTIVE);
    missing
        .map(|city| format!("{} ({}, {})", city.id, city.place, city_status(city.status)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{rows, to_json};
    use crate::application::places::tests::city;
    use hub::abi::{City, Safety};

    fn safety(cities: u32, missing: u32, institutions_may_fail: u32, allowed: bool) -> Safety {
        let may_fail = (cities - 1) / 3;
        Safety {
            safe: missing <= may_fail && (institutions_may_fail > 0 || allowed),
            allowConcentration: allowed,
            cities,
            missing,
            citiesMayFail: may_fail,
            institutions: cities,
            institutionsMayFail: institutions_may_fail,
        }
    }

    #[test]
    fn what_is_not_safe_says_why_and_what_to_do() {
        let table = [
            (safety(4, 0, 1, false), vec![1, 1, 1, 1], "yes", true),
            (
                safety(3, 0, 0, true),
                vec![1, 1, 1],
                "yes; its owner allows that the chain stops when one institution fails",
                true,
            ),
            (
                safety(4, 1, 1, false),
                vec![1, 1, 1, 2],
                "yes; 1 of 4 cities is missing already. Its owner can put others in their place: causeway app change \
                 app --remove LIST --add LIST",
                true,
            ),
            (
                safety(3, 0, 0, false),
                vec![1, 1, 1],
                "no: when one institution fails the chain stops, which its owner did not allow. Add cities of other \
                 institutions: causeway app change app --add LIST",
                false,
            ),
            (
                safety(4, 2, 1, false),
                vec![1, 2, 2, 1],
                "no: 2 of 4 cities are missing and 1 may fail, so the chain stands until enough are back. Members \
                 restore cities and the members that run them by vote, causeway governance propose restore; suspended: 2, 3",
                false,
            ),
            (
                safety(2, 1, 0, true),
                vec![1, 3],
                "no: 1 of 2 cities is missing and 0 may fail, so the chain stands until enough are back. None of \
                 them can be restored: it can only be closed, and created anew",
                false,
            ),
        ];
        for (found, statuses, wanted, is_safe) in table {
            let all: Vec<City> = statuses
                .iter()
                .zip(1..)
                .map(|(status, id)| city(id, "CN SHA", *status))
                .collect();
            let placed: Vec<&City> = all.iter().collect();
            let shown = rows(&found, "app", &placed);
            assert_eq!(shown.last().expect("a verdict").1, wanted);
            assert_eq!(shown.len(), if found.missing > 0 { 3 } else { 2 });
            let json = to_json(&found, "app", &placed);
            assert_eq!(json["safe"], is_safe);
            assert_eq!(json["advice"].is_null(), wanted == "yes");
        }
    }
}
