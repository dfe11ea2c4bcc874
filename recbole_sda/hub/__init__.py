"""Feature stores, adapters and runs on the Hugging Face Hub: packages of files with a card, pushed and pulled."""
