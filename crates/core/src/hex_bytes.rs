//! Bytes as hex where people read them (JSON), and as they are on our own wires.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// For `#[serde(with = "hex_bytes")]`.
pub(crate) fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&hex::encode(bytes))
    } else {
        bytes.as_ref().serialize(serializer)
    }
}

/// For `#[serde(with = "hex_bytes")]`.
pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<Vec<u8>>,
    D: Deserializer<'de>,
{
    let bytes = if deserializer.is_human_readable() {
        hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?
    } else {
        Vec::<u8>::deserialize(deserializer)?
    };
    let length = bytes.len();
    T::try_from(bytes).map_err(|_| D::Error::custom(format!("{length} bytes are not the right number")))
}

#[cfg(test)]
mod tests {
    use crate::{ContentHash, GenerationId};

    #[test]
    fn people_read_hex_and_the_wire_carries_bytes() {
        let hash = ContentHash([0xab; 32]);
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{}\"", "ab".repeat(32)));
        assert_eq!(serde_json::from_str::<ContentHash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<ContentHash>("\"abcd\"").is_err());
        assert!(serde_json::from_str::<ContentHash>("\"zz\"").is_err());
        let id = GenerationId([7; 16]);
        let wire = postcard::to_allocvec(&id).unwrap();
        assert!(wire.len() <= 17);
        assert_eq!(postcard::from_bytes::<GenerationId>(&wire).unwrap(), id);
        assert!(postcard::from_bytes::<ContentHash>(&wire).is_err());
    }
}
