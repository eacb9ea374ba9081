"""Translation between the Messages API and Chat Completions: pure, bytes in and bytes out, in both directions.

    client             provider           translation
    Messages           Chat Completions   MessagesToChat(flavour, policy)
    Chat Completions   Anthropic          ChatToMessages(policy)

What one side has no word for is dropped and told, or refused, by policy (see `base.Losses`). An answer is translated as
it comes, however its bytes are cut.
"""

from sluicegate.core.translate.base import (
    Malformed,
    Policy,
    RequestState,
    Transform,
    TranslatedRequest,
    TranslatedResponse,
    Translator,
    Unsupported,
)
from sluicegate.core.translate.chat_messages.request import ChatToMessages
from sluicegate.core.translate.errors import (
    Fault,
    chat_fault,
    fault_to_chat,
    fault_to_messages,
    messages_fault,
    messages_status,
)
from sluicegate.core.translate.messages_chat.flavours import (
    FLAVOURS,
    GENERIC,
    Flavour,
    flavour_of,
)
from sluicegate.core.translate.messages_chat.request import MessagesToChat

__all__ = [
    "FLAVOURS",
    "GENERIC",
    "ChatToMessages",
    "Fault",
    "Flavour",
    "Malformed",
    "MessagesToChat",
    "Policy",
    "RequestState",
    "Transform",
    "TranslatedRequest",
    "TranslatedResponse",
    "Translator",
    "Unsupported",
    "chat_fault",
    "fault_to_chat",
    "fault_to_messages",
    "flavour_of",
    "messages_fault",
    "messages_status",
]
