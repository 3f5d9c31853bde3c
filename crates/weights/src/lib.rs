//! Weights on the disk: fetched by block, checked by hash, from web servers and from peers.
