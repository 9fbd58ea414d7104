"""The words of the business, as frozen values: no await, no SQL, no pydantic."""
