//! Hosts chains: carries inputs to their engines and effects to the disk.
