//! Which cities are meant: by number, or by place where there is one city that hosts.

use hub::abi::City;

use crate::hub_client::registry::ACTIVE;
use crate::hub_client::words::city_status;

/// Most cities of an application.
const MOST_CITIES: usize = 100;

/// Why it is not clear which cities are meant, or they cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlacesError {
    /// No city is named.
    #[error("{option} names no city")]
    None {
        /// Where they would be named.
        option: &'static str,
    },
    /// More than a chain has.
    #[error("{option} names {count} cities; an application has at most {MOST_CITIES}")]
    TooMany {
        /// Where they are named.
        option: &'static str,
        /// How many.
        count: usize,
    },
    /// The application is on others.
    #[error("{name}: the application is not on this city; it is on {}", .there.join(", "))]
    NotPlaced {
        /// What was named.
        name: String,
        /// Its cities: numbers and places.
        there: Vec<String>,
    },
    /// Neither a number nor a place that has a city.
    #[error("{name}: no city is there; places that have one: {there}")]
    Nowhere {
        /// What was named.
        name: String,
        /// Where cities are.
        there: String,
    },
    /// A place alone does not say which.
    #[error("{name}: {} cities are there, name one by its number: {}", .ids.len(), list(.ids))]
    Several {
        /// What was named.
        name: String,
        /// Which are there.
        ids: Vec<u32>,
    },
    /// There is none of this number.
    #[error("{id}: there is no city of this number")]
    Unknown {
        /// The number.
        id: u32,
    },
    /// It hosts nothing now.
    #[error("{id}: the city is {status}")]
    NotActive {
        /// The number.
        id: u32,
        /// In words.
        status: String,
    },
    /// One city, named in two ways or twice.
    #[error("{id}: the city is named twice")]
    Twice {
        /// The number.
        id: u32,
    },
}

fn list(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(", ")
}

/// The cities that `names` mean, in their order: numbers or UN/LOCODEs, with commas between. `option` is where they are
/// named.
///
/// # Errors
///
/// [`PlacesError`].
pub(crate) fn resolve<'a>(
    option: &'static str,
    names: &str,
    all: &'a [City],
) -> Result<Vec<&'a City>, PlacesError> {
    each(option, names, |name| {
        let city = one(name, all)?;
        if city.status != ACTIVE {
            return Err(PlacesError::NotActive {
                id: city.id,
                status: city_status(city.status),
            });
        }
        Ok(city)
    })
}

/// The same of those on which an application is placed, whatever their status.
///
/// # Errors
///
/// [`PlacesError`].
pub(crate) fn resolve_placed<'a>(
    option: &'static str,
    names: &str,
    placed: &[&'a City],
) -> Result<Vec<&'a City>, PlacesError> {
    each(option, names, |name| {
        let id = name.parse::<u32>().ok();
        let is_meant = |city: &&&City| id.map_or(city.place == name, |id| city.id == id);
        let meant: Vec<&City> = placed.iter().filter(is_meant).copied().collect();
        match meant.as_slice() {
            [city] => Ok(city),
            [] => Err(PlacesError::NotPlaced {
                name: name.escape_debug().to_string(),
                there: placed
                    .iter()
                    .map(|city| format!("{} ({})", city.id, city.place))
                    .collect(),
            }),
            several => Err(several_at(name, several)),
        }
    })
}

fn each<'a>(
    option: &'static str,
    names: &str,
    one: impl Fn(&str) -> Result<&'a City, PlacesError>,
) -> Result<Vec<&'a City>, PlacesError> {
    let names: Vec<&str> = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() {
        return Err(PlacesError::None { option });
    }
    if names.len() > MOST_CITIES {
        let count = names.len();
        return Err(PlacesError::TooMany { option, count });
    }
    let mut meant: Vec<&City> = Vec::with_capacity(names.len());
    for name in names {
        let city = one(name)?;
        if meant.iter().any(|other| other.id == city.id) {
            return Err(PlacesError::Twice { id: city.id });
        }
        meant.push(city);
    }
    Ok(meant)
}

fn several_at(name: &str, cities: &[&City]) -> PlacesError {
    PlacesError::Several {
        name: name.to_owned(),
        ids: cities.iter().map(|city| city.id).collect(),
    }
}

fn one<'a>(name: &str, all: &'a [City]) -> Result<&'a City, PlacesError> {
    if let Ok(id) = name.parse::<u32>() {
        let found = all.iter().find(|city| city.id == id);
        return found.ok_or(PlacesError::Unknown { id });
    }
    let active = || all.iter().filter(|city| city.status == ACTIVE);
    let there: Vec<&City> = active().filter(|city| city.place == name).collect();
    match there.as_slice() {
        [city] => Ok(city),
        [] => {
            let mut places: Vec<&str> = active().map(|city| city.place.as_str()).collect();
            places.sort_unstable();
            places.dedup();
            Err(PlacesError::Nowhere {
                name: name.escape_debug().to_string(),
                there: places.join(", "),
            })
        }
        several => Err(several_at(name, several)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{PlacesError, resolve, resolve_placed};
    use alloy_primitives::{Address, B256};
    use hub::abi::{Capacity, City, Offer};

    pub(crate) fn city(id: u32, place: &str, status: u8) -> City {
        City {
            id,
            member: id,
            node: Address::ZERO,
            tlsFingerprint: B256::ZERO,
            place: place.to_owned(),
            endpoint: String::new(),
            rpc: String::new(),
            status,
            since: 0,
            offer: Offer {
                gasPerSecond: 0,
                bytesStored: 0,
                chains: 0,
                blocksPerSecond: 0,
                pricePerGasSecond: 0,
                policy: 1,
                listed: Vec::new(),
            },
            taken: Capacity {
                gasPerSecond: 0,
                bytesStored: 0,
                chains: 0,
                blocksPerSecond: 0,
            },
        }
    }

    #[test]
    fn places_and_numbers_name_cities() {
        let all = [
            city(1, "CN SHA", 1),
            city(2, "CN HGH", 1),
            city(3, "DE HAM", 1),
            city(4, "DE HAM", 1),
            city(5, "CN NKG", 2),
            city(6, "CN SHA", 3),
        ];
        let ids = |names: &str| {
            let found = resolve("--cities", names, &all)?;
            Ok::<_, PlacesError>(found.iter().map(|city| city.id).collect::<Vec<u32>>())
        };
        assert_eq!(ids("CN HGH, CN SHA,4"), Ok(vec![2, 1, 4]));
        assert_eq!(ids(" 3 ,"), Ok(vec![3]));
        for (names, wanted) in [
            ("", "names no city"),
            (" , ", "names no city"),
            ("CN BJS", "CN HGH, CN SHA, DE HAM"),
            ("cn sha", "no city is there"),
            ("CN NKG", "no city is there"),
            ("DE HAM", "2 cities are there, name one by its number: 3, 4"),
            ("9", "there is no city of this number"),
            ("5", "the city is suspended"),
            ("6", "the city is removed"),
            ("1,CN SHA", "1: the city is named twice"),
        ] {
            let error = ids(names).expect_err(names).to_string();
            assert!(error.contains(wanted), "{names}: {error}");
        }
        let many = vec!["1"; 101].join(",");
        let option = "--cities";
        let count = 101;
        assert_eq!(ids(&many), Err(PlacesError::TooMany { option, count }));
    }

    #[test]
    fn cities_that_leave_are_those_of_the_application_in_whatever_state() {
        let all = [
            city(1, "CN SHA", 1),
            city(2, "CN HGH", 3),
            city(3, "DE HAM", 1),
            city(4, "DE HAM", 2),
            city(5, "CN SHA", 1),
        ];
        let placed: Vec<&City> = all[..4].iter().collect();
        let ids = |names: &str| {
            let found = resolve_placed("--remove", names, &placed)?;
            Ok::<_, PlacesError>(found.iter().map(|city| city.id).collect::<Vec<u32>>())
        };
        assert_eq!(ids("CN SHA, CN HGH,4"), Ok(vec![1, 2, 4]));
        for (names, wanted) in [
            (",", "--remove names no city"),
            (
                "5",
                "5: the application is not on this city; it is on 1 (CN SHA), 2",
            ),
            ("CN NKG", "not on this city"),
            ("DE HAM", "name one by its number: 3, 4"),
            ("2,CN HGH", "2: the city is named twice"),
        ] {
            let error = ids(names).expect_err(names).to_string();
            assert!(error.contains(wanted), "{names}: {error}");
        }
    }
}
