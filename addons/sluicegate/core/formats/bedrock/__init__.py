"""Amazon Bedrock's InvokeModel for Claude, as a client format."""
