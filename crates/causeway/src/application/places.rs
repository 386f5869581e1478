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
    #[error("--cities names no city")]
    None,
    /// More than a chain has.
    #[error("--cities names {count} cities; an application has at most {MOST_CITIES}")]
    TooMany {
        /// How many.
        count: usize,
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

/// The cities that `names` mean, in their order: numbers or UN/LOCODEs, with commas between.
///
/// # Errors
///
/// [`PlacesError`].
pub(crate) fn resolve<'a>(names: &str, all: &'a [City]) -> Result<Vec<&'a City>, PlacesError> {
    let names: Vec<&str> = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() {
        return Err(PlacesError::None);
    }
    if names.len() > MOST_CITIES {
        return Err(PlacesError::TooMany { count: names.len() });
    }
    let mut meant: Vec<&City> = Vec::with_capacity(names.len());
    for name in names {
        let city = one(name, all)?;
        if city.status != ACTIVE {
            return Err(PlacesError::NotActive {
                id: city.id,
                status: city_status(city.status),
            });
        }
        if meant.iter().any(|other| other.id == city.id) {
            return Err(PlacesError::Twice { id: city.id });
        }
        meant.push(city);
    }
    Ok(meant)
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
        several => Err(PlacesError::Several {
            name: name.to_owned(),
            ids: several.iter().map(|city| city.id).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{PlacesError, resolve};
    use alloy_primitives::{Address, B256};
    use hub::abi::{Capacity, City, Offer};

    fn city(id: u32, place: &str, status: u8) -> City {
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
            let found = resolve(names, &all)?;
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
        assert_eq!(ids(&many), Err(PlacesError::TooMany { count: 101 }));
    }
}
