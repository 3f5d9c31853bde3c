//! The description of this interface, generated from its types.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::wire::{ChatChunk, ChatMessage};
use crate::{chat, completions, models, operations, sessions};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ComputePool",
        description = "Large language models on a network of shared machines, through OpenAI's interface.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    paths(
        chat::chat_completions,
        completions::completions,
        models::list_models,
        models::show_model,
        operations::network,
        sessions::open_session,
        sessions::show_session,
        sessions::close_session,
        operations::health,
        operations::metrics,
        operations::openapi,
    ),
    components(schemas(ChatChunk, ChatMessage)),
    modifiers(&Keys)
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("Where keys are configured.")).build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI document, as pretty JSON with a final newline; what `/openapi.json` serves.
pub fn openapi_json() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written");
        "{}".to_owned()
    });
    text.push('\n');
    text
}
