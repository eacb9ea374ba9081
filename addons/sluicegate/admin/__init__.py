"""The gate's own endpoints: who may see them, which path leads where, and the pages themselves."""
